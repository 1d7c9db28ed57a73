import torch

from ..vector_appliers import ApplyCAAHyperParams, ApplySFTHyperParams, apply_caa, apply_sft
from ..vector_generators import CAAHyperParams, SFTHyperParams, generate_caa_vectors, generate_sft

DTYPES_DICT = {"fp32": torch.float32, "float32": torch.float32, "float64": torch.float64}
HYPERPARAMS_CLASS_DICT = {
    "caa": {"train": CAAHyperParams, "apply": ApplyCAAHyperParams},
    "sft": {"train": SFTHyperParams, "apply": ApplySFTHyperParams},
}
METHODS_CLASS_DICT = {
    "caa": {"train": generate_caa_vectors, "apply": apply_caa},
    "sft": {"train": generate_sft, "apply": apply_sft},
}
VLLM_SUPPORTED_METHODS = ["caa"]
