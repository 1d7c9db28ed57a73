"""Training of interventions: objectives, recipes, the training loop and closed forms."""
