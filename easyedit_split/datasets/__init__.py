"""Where pairs come from: one dataset a file."""
