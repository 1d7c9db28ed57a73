"""Fitting the curves of validity decay (Eq. 15, 17): the functions, the solvers, and rival curves."""
