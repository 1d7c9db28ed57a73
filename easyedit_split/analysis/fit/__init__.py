"""Fitting the validity-decay curves (Eq. 15, 17): functions, solvers, and alternative curves."""
