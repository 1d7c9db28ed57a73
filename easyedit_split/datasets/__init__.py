"""Datasets of pairs, one a file; ``load_dataset`` loads any of them."""

from .base import DATASETS, Columns, Dataset, PairTable, Request
from .load import load_dataset
from .unpaired import UnpairedTable, load_unpaired

__all__ = [
    "DATASETS",
    "Columns",
    "Dataset",
    "PairTable",
    "Request",
    "UnpairedTable",
    "load_dataset",
    "load_unpaired",
]
