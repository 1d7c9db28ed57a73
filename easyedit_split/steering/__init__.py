"""Interventions: their forms, how they are attached to a model, steered generation, and artifacts on disk."""
