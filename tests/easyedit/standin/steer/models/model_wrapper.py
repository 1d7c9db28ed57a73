import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from steer.utils.hparams import HyperParams  # noqa: F401  # the real one reaches steer.utils from here as well


class AttnWrapper(torch.nn.Module):
    def __init__(self, attn):
        super().__init__()
        self.attn = attn

    def forward(self, *args, **kwargs):
        return self.attn(*args, **kwargs)


class MLPWrapper(torch.nn.Module):
    def __init__(self, mlp):
        super().__init__()
        self.mlp = mlp
        self.mid_activations = None

    def forward(self, x):
        output = self.mlp(x)
        self.mid_activations = self.mlp.act_fn(self.mlp.gate_proj(x)) * self.mlp.up_proj(x)
        return output


class BlockOutputWrapper(torch.nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block
        self.block.self_attn = AttnWrapper(self.block.self_attn)
        self.block.mlp = MLPWrapper(self.block.mlp)
        self.add_activations_dict = {}
        self.intervention_dict = {}
        self.from_position = None
        self.activations = None

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.block, name)

    def forward(self, *args, **kwargs):
        output = self.block(*args, **kwargs)
        hidden = output[0] if isinstance(output, tuple) else output
        self.activations = hidden
        for activations in self.add_activations_dict.values():
            positions = kwargs.get("position_ids")
            if positions is None:
                hidden = hidden + activations
            else:
                start = positions.min() - 1 if self.from_position is None else self.from_position
                hidden = hidden + (positions >= start).unsqueeze(-1).float() * activations
        for name, intervention in self.intervention_dict.items():
            if name in ("reps", "sft", "spilt") and hasattr(intervention, "intervention_components"):
                kwargs["args"] = self.block.mlp.mid_activations
            result = intervention.forward(hidden, **kwargs)
            hidden = getattr(result, "output", result)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    def add(self, activations, method_name="default"):
        self.add_activations_dict[method_name] = activations

    def set_intervention(self, intervention, method_name):
        self.intervention_dict[method_name] = intervention

    def reset(self, method_name="all"):
        if method_name == "all":
            self.add_activations_dict.clear()
            self.intervention_dict.clear()
        elif method_name in ("reps", "sft", "spilt"):
            self.intervention_dict.pop(method_name, None)
        self.add_activations_dict.pop(method_name, None)
        self.activations = self.from_position = None


class BaseModelWrapper:
    def __init__(self, hparams):
        from ..utils.alg_dict import DTYPES_DICT

        self.hparams, self.VLLM_model, self.device = hparams, None, hparams.device
        self.use_chat, self.model_name_or_path = hparams.use_chat_template, hparams.model_name_or_path
        self.dtype = DTYPES_DICT.get(hparams.dtype, torch.float32)
        self.tokenizer = AutoTokenizer.from_pretrained(hparams.model_name_or_path)
        self.model = self._load_hf_model().eval()
        layers = self._decoder_layers()
        for i, layer in enumerate(layers):
            layers[i] = BlockOutputWrapper(layer)

    def _load_hf_model(self):
        return AutoModelForCausalLM.from_pretrained(self.model_name_or_path, dtype=self.dtype)

    def _decoder_layers(self):
        return self.model.model.layers

    def set_add_activations(self, layer, activations, method_name="default"):
        self._decoder_layers()[layer].add(activations, method_name)

    def set_intervention(self, layer, intervention, method_name):
        self._decoder_layers()[layer].set_intervention(intervention, method_name)

    def set_from_positions(self, pos):
        for layer in self._decoder_layers():
            layer.from_position = pos

    def reset_all(self):
        for layer in self._decoder_layers():
            layer.reset("all")

    def reset(self, method_name):
        if method_name.lower() not in ("caa", "sft"):
            raise ValueError(f"Method {method_name} not supported to reset")
        for layer in self._decoder_layers():
            layer.reset(method_name.lower())

    def _save_and_clear_generation_state(self, layers):
        saved = [(dict(x.add_activations_dict), dict(x.intervention_dict)) for x in layers]
        for layer in layers:
            layer.add_activations_dict, layer.intervention_dict = {}, {}
        return saved

    def ori_generate(self, input_ids, **kwargs):
        layers = self._decoder_layers()
        saved = self._save_and_clear_generation_state(layers)
        try:
            return self.model.generate(input_ids=input_ids, **kwargs)
        finally:
            for layer, (activations, interventions) in zip(layers, saved, strict=True):
                layer.add_activations_dict, layer.intervention_dict = activations, interventions


class LlamaWrapper(BaseModelWrapper):
    pass


class GPTWrapper(BaseModelWrapper):
    def reset(self, method_name):
        super().reset(method_name)
