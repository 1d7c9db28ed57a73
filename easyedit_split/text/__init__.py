"""Text as ids: chat template, tokens of prompts and answers, padded batches, and which positions are steered."""
