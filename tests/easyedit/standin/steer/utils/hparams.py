from dataclasses import dataclass


@dataclass
class HyperParams:
    use_chat_template: bool = False
    system_prompt: str = ""
    dtype: str = "fp32"
    seed: int = 42
    model_name_or_path: str = "your_own_path"
    device: str = "cpu"
    use_cache: bool = True
    generate_orig_output: bool = False
    vllm_enable: bool = False
    save_activations: bool = True
    enable_thinking: object = None
