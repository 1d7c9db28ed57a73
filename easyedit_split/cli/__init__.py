"""The command line ``easyedit-split``; ``main`` mounts the commands, one per file of ``commands``."""
