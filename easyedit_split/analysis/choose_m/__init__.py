"""Which m? From the pairs themselves or from the fitted curves, and a closer look where it matters."""
