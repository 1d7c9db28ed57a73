from dataclasses import dataclass, field

from ...utils import HyperParams


@dataclass
class SFTHyperParams(HyperParams):
    alg_name: str = "sft"
    layers: list = field(default_factory=lambda: list(range(32)))
    save_vectors: bool = True
    steer_vector_output_dir: str = "../"
    steer_train_dataset: str = "safeedit"
