import json


def prepare_train_dataset(top_cfg):
    with open(top_cfg.steer_train_dataset, encoding="utf-8") as file:
        return {"toy": json.load(file)}


def prepare_generation_datasets(top_cfg):
    with open(top_cfg.generation_data, encoding="utf-8") as file:
        return {"toy": json.load(file)}
