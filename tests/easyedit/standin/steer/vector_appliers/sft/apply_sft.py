import os

import torch


def apply_sft(hparams, pipline=None, vector=None):
    from ...models.get_model import get_model
    from ...models.interventions import Intervention

    model = pipline if pipline is not None else get_model(hparams)[0]
    for layer in hparams.layers:
        model._decoder_layers()[layer].reset(method_name="sft")
    for layer, multiplier in zip(hparams.layers, hparams.multipliers, strict=False):
        path = os.path.join(hparams.steer_vector_load_dir, f"layer_{layer}.pt")
        state = vector[f"layer_{layer}"] if vector is not None else torch.load(path)
        by_concept = isinstance(state, dict) and all(isinstance(v, dict) for v in state.values())
        if by_concept or (isinstance(state, torch.Tensor) and state.ndim == 2):
            state = state[hparams.concept_id]
        model.set_intervention(layer, Intervention(hparams.intervention_method, state, multiplier), "sft")
    return model
