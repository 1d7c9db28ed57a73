"""Launchers of a study's processes: on this machine, or on those of a cluster."""
