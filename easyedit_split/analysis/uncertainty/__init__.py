"""Confidence intervals of a fit: bootstrap over pairs, sandwich and residual covariance, regions."""
