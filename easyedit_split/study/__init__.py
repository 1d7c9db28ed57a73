"""Whole courses of work, from pairs to a result that is read: what the verbs of the package are strung together to."""
