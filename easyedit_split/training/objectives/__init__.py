"""What an intervention is trained for: one objective a file."""
