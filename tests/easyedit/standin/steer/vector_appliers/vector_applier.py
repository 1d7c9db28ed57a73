import json
import os

import torch


class BaseVectorApplier:
    def __init__(self, top_cfg):
        from ..utils import load_apply_vector_hparams

        self.hparams_dict = load_apply_vector_hparams(top_cfg)
        self.config = top_cfg
        self.model = self.tokenizer = self.device = None

    def apply_steering(self, hparams_dict, model=None, vectors=None):
        from ..utils.alg_dict import METHODS_CLASS_DICT

        for name, hparams in hparams_dict.items():
            apply = METHODS_CLASS_DICT[name]["apply"]
            if vectors is None or vectors.get(name) is None:
                assert hparams.steer_vector_load_dir is not None
                model = apply(hparams, model)
            else:
                model = apply(hparams, model, vectors[name])
        return model

    def apply_vectors(self, vectors=None):
        self.model = self.apply_steering(self.hparams_dict, self.model, vectors)
        self.tokenizer, self.device = self.model.tokenizer, self.model.device
        self.model.model.eval()

    def generate(self, datasets, save_results=True, **kwargs):
        params = dict(kwargs) if kwargs else dict(self.config.generation_params)
        params.setdefault("pad_token_id", self.tokenizer.eos_token_id)
        for name, rows in datasets.items():
            results = []
            for row in rows:
                inputs = self._process_input(row)
                length = inputs["input_ids"].shape[1]
                with torch.no_grad():
                    if self.config.get("steer_from_end_position", False):
                        self.model.set_from_positions(length - 1)
                    output = self.model.model.generate(**inputs, **params)[0]
                    orig = []
                    if self.config.get("generate_orig_output", False):
                        bare = self.model.ori_generate(**inputs, **params)[0]
                        orig = [self.tokenizer.decode(bare[length:], skip_special_tokens=True)]
                results.append(
                    {
                        "input": row["input"],
                        "orig_pred": orig,
                        "pred": [self.tokenizer.decode(output[length:], skip_special_tokens=True)],
                        "reference_response": row.get("reference_response"),
                        "complete_output": [self.tokenizer.decode(output)],
                    }
                )
            if save_results:
                os.makedirs(self.config.generation_output_dir, exist_ok=True)
                path = os.path.join(self.config.generation_output_dir, f"{name}_results.json")
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(results, file)
        return results

    def _process_input(self, item):
        text = self._text(item["input"].strip())
        special = not self.config.use_chat_template
        return self.tokenizer(text, return_tensors="pt", add_special_tokens=special)

    def _text(self, text):
        system = self.config.system_prompt
        if not self.config.use_chat_template or self.tokenizer.chat_template is None:
            return f"{system} {text}" if system else text
        thinking = self.config.get("enable_thinking")
        kwargs = {"tokenize": False, "add_generation_prompt": True}
        kwargs |= {} if thinking is None else {"enable_thinking": thinking}
        if system:
            try:
                messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
                return self.tokenizer.apply_chat_template(messages, **kwargs)
            except Exception:
                text = f"{system} {text}"
        return self.tokenizer.apply_chat_template([{"role": "user", "content": text}], **kwargs)
