"""Judges that score generated text."""
