"""The commands of ``easyedit-split``, one per file."""
