"""Models: loading them, where their blocks and linear maps are, and hooks that only read."""
