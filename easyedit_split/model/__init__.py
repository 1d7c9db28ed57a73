"""Loading models, finding their blocks and linear maps, and hooks that read activations."""
