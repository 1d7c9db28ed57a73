"""Preference and utility curves over m (Section 4): fitted, with errors, regions and a recommended m."""
