"""Forms of interventions (the rows of Table 1): one affine update of one linear map a file."""
