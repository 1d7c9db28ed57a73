"""An intervention: its form, where it acts, attaching it to a model, and the artifact that keeps it."""
