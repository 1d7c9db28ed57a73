import os

import torch


def apply_caa(hparams, pipline=None, vector=None):
    from ...models.get_model import get_model

    model = pipline if pipline is not None else get_model(hparams)[0]
    for layer in hparams.layers:
        model._decoder_layers()[layer].reset(method_name="caa")
    for layer, multiplier in zip(hparams.layers, hparams.multipliers, strict=False):
        if vector is not None:
            value = vector[f"layer_{layer}"]
        else:
            value = torch.load(os.path.join(hparams.steer_vector_load_dir, f"layer_{layer}.pt"))
        model.set_add_activations(layer, multiplier * value, method_name="caa")
    return model
