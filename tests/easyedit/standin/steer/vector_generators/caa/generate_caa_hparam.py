from dataclasses import dataclass, field

from ...utils import HyperParams


@dataclass
class CAAHyperParams(HyperParams):
    alg_name: str = "caa"
    layers: list = field(default_factory=lambda: list(range(32)))
    save_vectors: bool = True
    steer_vector_output_dir: str = "../"
    steer_train_dataset: str = "safeedit"
    multiple_choice: bool = False
