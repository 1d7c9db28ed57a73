"""Fitting an intervention: objectives, recipes, the training loop and the closed form."""
