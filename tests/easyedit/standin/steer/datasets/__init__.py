import json


def prepare_train_dataset(top_cfg):
    with open(top_cfg.steer_train_dataset, encoding="utf-8") as file:
        return {"toy": json.load(file)}


def prepare_generation_datasets(top_cfg):
    with open(top_cfg.generation_data, encoding="utf-8") as file:
        return {"toy": json.load(file)}


class DatasetLoader:
    """As the real one: what its configuration describes, with fields renamed."""

    def __init__(self, config_path="hparams/Steer/dataset_format.yaml"):
        import yaml

        with open(config_path, encoding="utf-8") as file:
            self.format_config = yaml.safe_load(file)

    def load_file(self, dataset_name=None, split=None):
        described = self.format_config[split][dataset_name]
        with open(described["file_path"], encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return [{key: row[name] for key, name in described["field_names"].items() if name in row} for row in rows]
