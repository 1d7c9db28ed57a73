"""Hostile input, kills, full disks and two writers: ``make hard`` runs them all and prints one table."""

import os

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # the usual one claims a gigabyte of addresses at once
