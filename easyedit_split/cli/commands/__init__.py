"""The command line, one command a file; ``cli`` mounts them."""
