"""Tokenisation: chat template, token ids of prompts and answers, padded batches, and masks of the steered positions."""
