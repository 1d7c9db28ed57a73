from dataclasses import dataclass, field

from ...utils import HyperParams


@dataclass
class ApplySFTHyperParams(HyperParams):
    alg_name: str = "sft"
    layers: list = field(default_factory=lambda: [1])
    multipliers: list = field(default_factory=lambda: [1.0])
    intervention_method: str = "vector"
    steer_vector_load_dir: str = None
    concept_id: int = 0
