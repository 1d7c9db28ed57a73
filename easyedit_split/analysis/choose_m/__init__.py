"""Choosing m: from the pairs themselves or from the fitted curves, with a finer grid where it matters."""
