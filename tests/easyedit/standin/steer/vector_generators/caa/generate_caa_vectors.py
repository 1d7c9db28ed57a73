import os

import torch
from dotenv import load_dotenv

load_dotenv()


def generate_caa_vectors(hparams, dataset, model=None, dataset_name=None):
    from ...models.get_model import get_model

    model, tokenizer = get_model(hparams)
    sums = dict.fromkeys(hparams.layers, 0)
    for row in dataset:
        for name, sign in (("matching", 1), ("not_matching", -1)):
            ids = tokenizer(row["question"] + " " + row[name], return_tensors="pt")["input_ids"]
            with torch.no_grad():
                model.model(ids)
            for layer in hparams.layers:
                sums[layer] = sums[layer] + sign * model._decoder_layers()[layer].activations[0, -1]
    vectors = {f"layer_{layer}": total / len(dataset) for layer, total in sums.items()}
    if hparams.save_vectors:
        folder = os.path.join(hparams.steer_vector_output_dir, "caa_vector")
        os.makedirs(folder, exist_ok=True)
        for key, vector in vectors.items():
            torch.save(vector, os.path.join(folder, f"{key}.pt"))
    return vectors
