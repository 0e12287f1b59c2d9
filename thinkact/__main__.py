"""``python -m thinkact``: what launchers of several processes start."""

from thinkact.cli import main

if __name__ == "__main__":
    main()
