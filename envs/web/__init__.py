"""Web applications with a server, a database and verified tasks, used through a real browser."""
