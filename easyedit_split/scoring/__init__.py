"""Answer losses of pairs under an intervention, over a sweep of m."""
