"""The command line; ``main`` mounts one command a file from ``commands``."""
