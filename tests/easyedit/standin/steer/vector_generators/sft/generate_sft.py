from sae_lens import SAE  # what upstream imports and few need


def generate_sft(hparams, dataset, model=None, dataset_name=None):
    return SAE.from_pretrained(hparams.model_name_or_path)
