"""MiniWoB++, a foreign suite of small web tasks, through thinkact's browser."""
