"""Files in and out: bounded reading, locks of outputs, journals of unfinished runs."""
