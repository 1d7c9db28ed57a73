"""Confidence intervals of a fit: bootstrap over pairs, sandwich covariance, residual covariance."""
