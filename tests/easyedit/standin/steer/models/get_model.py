from .model_wrapper import GPTWrapper, LlamaWrapper


def get_model(hparams):
    name = hparams.model_name_or_path.lower()
    for key, cls in (("llama", LlamaWrapper), ("gpt", GPTWrapper), ("gemma", LlamaWrapper), ("qwen", LlamaWrapper)):
        if key in name:
            wrapper = cls(hparams)
            return wrapper, wrapper.tokenizer
    raise ValueError(f"model_name_or_path {hparams.model_name_or_path} not supported")
