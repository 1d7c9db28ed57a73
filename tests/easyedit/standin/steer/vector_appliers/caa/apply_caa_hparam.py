from dataclasses import dataclass, field

from ...utils import HyperParams


@dataclass
class ApplyCAAHyperParams(HyperParams):
    alg_name: str = "caa"
    layers: list = field(default_factory=lambda: [1])
    multipliers: list = field(default_factory=lambda: [1.0])
    steer_vector_load_dir: str = None
