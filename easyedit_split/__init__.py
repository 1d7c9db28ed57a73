"""One view of steering: vectors, LoRA and local weight updates as ``h' = (W + m1 dW) h + (b + m2 db)``."""

__version__ = "0.1.0"
