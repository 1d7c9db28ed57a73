import torch


class Intervention(torch.nn.Module):
    """What the real VectorIntervention, LoraIntervention and LocalWeightIntervention compute when applied."""

    def __init__(self, intervention_method, state, multiplier):
        super().__init__()
        self.intervention_method = intervention_method
        self.multiplier = multiplier
        self.state = state
        if intervention_method != "vector":
            self.intervention_components = state["intervention_components"]

    def forward(self, base, **kwargs):
        if self.intervention_method == "vector":
            return base + self.multiplier * self.state
        x = kwargs["args"]
        if self.intervention_method == "lora":
            return base + x @ (self.multiplier * (self.state["lora_A"] @ self.state["lora_B"]))
        return base + x @ (self.multiplier * self.state["weight"]) + self.multiplier * self.state["bias"]
