"""Complete workflows from pairs to a report, built from the package's public functions."""
