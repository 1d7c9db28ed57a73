"""Hostile input, kills, full disks and two writers: ``make hard`` runs them all and prints one table."""
