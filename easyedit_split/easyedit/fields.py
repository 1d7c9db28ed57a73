"""Keys of a method's YAML file: this package's, EasyEdit2's names for the same, and EasyEdit2 keys without effect.

The host builds hparams from the fields of a registered dataclass and drops every other key, so each key that is to
reach us is a field here; the settings of forms and objectives are added from their registries (``own_keys``). ``None``
means "not given"; defaults are the core's own and stand in ``easyedit_split.config``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..types import ConfigError
from .load_fields import LoadFields

Value = Any


def _form(value: Value) -> Value:
    return "local_weight" if value == "weight" else value  # two of EasyEdit2's own files say weight


def _directions(value: Value) -> str:
    names = list(value) if isinstance(value, list | tuple) else [value]
    if names == ["orig_add"]:
        return "add"
    if sorted(names) == ["orig_add", "orig_sub"]:
        return "both"
    raise ConfigError(
        f"preference_pairs is {names}, allowed: [orig_add] (directions: add), [orig_add, orig_sub] (both)"
    )


def _site(value: Value) -> str:
    if value == "mlp_mid":
        return "mlp.down_proj"
    raise ConfigError(
        f"intervention_components is {value!r}: allowed is mlp_mid, the input of mlp.down_proj; "
        "for another linear map write site, e.g. site: attn.o_proj"
    )


def _subtraction(value: Value) -> str:
    return "normal" if value in ("norm", "normal") else str(value)


def _same(value: Value) -> Value:
    return value


ALIASES = {
    "intervention_method": ("form", _form),
    "pos_loss_weight": ("lambda_p", _same),
    "neg_loss_weight": ("lambda_n", _same),
    "margin_penalty_weight": ("gamma", _same),
    "margin_threshold": ("theta", _same),
    "n_epochs": ("epochs", _same),
    "low_rank_dimension": ("rank", _same),
    "lora_alpha": ("alpha", _same),
    "preference_pairs": ("directions", _directions),
    "substraction_type": ("subtraction", _subtraction),
    "intervention_components": ("site", _site),
    "intervention_positions": ("positions", _same),
    "output_length": ("max_length", _same),
}
"""EasyEdit2's name: ours, and how its value reads here."""

ONLY = {
    "ref_loss_weight": (0, 0.0, None),
    "intervention_type": ("addition", None),
    "intervention_positions_dropout": (0, 0.0, None),
    "loss_type": ("scaled_simpo", None),
    "simpo_scaler": (1, 1.0, None),
    "label_smoothing": (0, 0.0, None),
    "gemma": (0, 0.0, None),
    "multiple_choice": (False, None),
    "exclude_bos": (True, None),
}
"""EasyEdit2's keys of which one value is what is done here; any other value is an error."""

UNREAD = (
    "steering_prompt_type",
    "inference",
    "all_labels",
    "loss_output_dir",
    "concepts_id",
    "beta",
    "reference_free",
    "train_on_negative",
    "sft_preference_type",
    "init_vector_path",
    "ablation_vector_path",
)
"""Keys that EasyEdit2's files carry and that change nothing here: accepted, and listed once in a log line."""


@dataclass
class TrainFields(LoadFields):
    """Keys of a ``generate`` file, in addition to EasyEdit2's own base fields (model, dtype, device, seed, template).

    Ours are preferred; EasyEdit2's names are aliases (``ALIASES``). ``max_num_of_examples`` counts answers, two to a
    pair, as there.

    Attributes:
        alg_name: the method.
        layers: 0-based block indices.
        save_vectors: write the result.
        steer_vector_output_dir: folder to write into.
        steer_train_dataset: name of the training dataset.
        max_concepts: the first so many concepts only.
        max_num_of_examples: answers per concept, two to a pair.
        drop_bad: leave bad rows out and name them.
        form: ``vector``, ``lora``, ``local_weight`` or another registered one.
        site: where in the block it acts.
        placement: ``site`` or ``block_output``.
        positions: which tokens are steered.
        skip_prefix: leave out BOS and the chat template's constant prefix.
        objective: ``split``, ``sft``, ``reps`` or another registered one.
        epochs: as in ``TrainConfig``.
        batch_size: as in ``TrainConfig``.
        gradient_accumulation_steps: as in ``TrainConfig``.
        lr: as in ``TrainConfig``.
        unit: as in ``TrainConfig``.
        weight_decay: as in ``TrainConfig``.
        warmup_steps: as in ``TrainConfig``.
        max_grad_norm: as in ``TrainConfig``.
        dropout: as in ``TrainConfig``.
        steering_factors: as in ``TrainConfig``.
        directions: as in ``TrainConfig``.
        max_length: as in ``TokenConfig``.
        score_end: as in ``TokenConfig``.
        intervention_method: EasyEdit2's ``form``.
        pos_loss_weight: EasyEdit2's ``lambda_p`` of SPLIT.
        neg_loss_weight: EasyEdit2's ``lambda_n`` of SPLIT.
        margin_penalty_weight: EasyEdit2's ``gamma`` of SPLIT.
        margin_threshold: EasyEdit2's ``theta`` of SPLIT.
        n_epochs: EasyEdit2's ``epochs``.
        low_rank_dimension: EasyEdit2's ``rank`` of LoRA.
        lora_alpha: EasyEdit2's ``alpha`` of LoRA.
        preference_pairs: EasyEdit2's ``directions``.
        substraction_type: EasyEdit2's ``subtraction`` of RePS.
        intervention_components: EasyEdit2's ``site``.
        intervention_positions: EasyEdit2's ``positions``.
        output_length: EasyEdit2's ``max_length``.
        ref_loss_weight: one value is allowed, see ``ONLY``.
        intervention_type: one value is allowed, see ``ONLY``.
        intervention_positions_dropout: one value is allowed, see ``ONLY``.
        loss_type: one value is allowed, see ``ONLY``.
        simpo_scaler: one value is allowed, see ``ONLY``.
        label_smoothing: one value is allowed, see ``ONLY``.
        gemma: one value is allowed, see ``ONLY``.
        multiple_choice: one value is allowed, see ``ONLY``.
        exclude_bos: one value is allowed, see ``ONLY``.
    """

    alg_name: str = ""
    layers: Any = None
    save_vectors: bool = True
    steer_vector_output_dir: Any = "vectors"
    steer_train_dataset: Any = None
    max_concepts: Any = None
    max_num_of_examples: Any = None
    drop_bad: Any = None
    # form and place
    form: Any = None
    site: Any = None
    placement: Any = None
    positions: Any = None
    skip_prefix: Any = None
    # objective, training and tokens
    objective: Any = None
    epochs: Any = None
    batch_size: Any = None
    gradient_accumulation_steps: Any = None
    lr: Any = None
    unit: Any = None
    weight_decay: Any = None
    warmup_steps: Any = None
    max_grad_norm: Any = None
    dropout: Any = None
    steering_factors: Any = None
    directions: Any = None
    max_length: Any = None
    score_end: Any = None
    # EasyEdit2's names
    intervention_method: Any = None
    pos_loss_weight: Any = None
    neg_loss_weight: Any = None
    margin_penalty_weight: Any = None
    margin_threshold: Any = None
    n_epochs: Any = None
    low_rank_dimension: Any = None
    lora_alpha: Any = None
    preference_pairs: Any = None
    substraction_type: Any = None
    intervention_components: Any = None
    intervention_positions: Any = None
    output_length: Any = None
    ref_loss_weight: Any = None
    intervention_type: Any = None
    intervention_positions_dropout: Any = None
    loss_type: Any = None
    simpo_scaler: Any = None
    label_smoothing: Any = None
    gemma: Any = None
    multiple_choice: Any = None
    exclude_bos: Any = None


@dataclass
class ApplyFields(LoadFields):
    """Keys of an ``apply`` file.

    ``layers`` and ``multipliers`` (m) are zipped; form and place are read from what was saved, and checked where the
    file names them too.

    Attributes:
        alg_name: the method.
        layers: 0-based block indices.
        multipliers: m of each layer; or ``recommended``, the m that the artifact stores.
        steer_vector_load_dir: folder that training wrote.
        concept_id: which concept, of files that hold several.
        form: checked against what was saved.
        intervention_method: EasyEdit2's ``form``.
        placement: checked against what was saved.
        skip_prefix: replaces what was saved; that where None.
        other_weights: steer a model of the recorded name though its weights are other ones.
    """

    alg_name: str = ""
    layers: Any = None
    multipliers: Any = None
    steer_vector_load_dir: Any = None
    concept_id: Any = 0
    form: Any = None
    intervention_method: Any = None
    placement: Any = None
    skip_prefix: Any = None
    other_weights: Any = None


def plain_python(value: Value) -> Value:
    """Convert OmegaConf lists and mappings to plain Python ones; return everything else unchanged.

    Args:
        value: a value of a host's configuration.
    """
    if isinstance(value, Mapping) or type(value).__name__ == "DictConfig":
        return {str(k): plain_python(value[k]) for k in value}
    if isinstance(value, list | tuple) or type(value).__name__ == "ListConfig":
        return [plain_python(v) for v in value]
    return value


def given(hparams: Any, where: str, own: Collection[str] = ()) -> dict[str, Value]:
    """The keys that were given, under this package's names.

    Args:
        hparams: the host's, of one of our methods.
        where: what the file is called in messages.
        own: keys that mean what they say, though EasyEdit2 has one of that name too.

    Raises:
        ConfigError: a key under both names with two meanings, or a value of EasyEdit2's that is not supported.
    """
    values = {name: plain_python(value) for name, value in vars(hparams).items() if value is not None}
    for name, allowed in ONLY.items():
        if name in own:
            continue
        value = values.pop(name, None)
        if value not in allowed:
            raise ConfigError(
                f"{where}: {name} is {value!r}, only {allowed[0]!r} is supported: remove the key"
                + (" (to steer BOS too, write skip_prefix: false)" if name == "exclude_bos" else "")
            )
    for name, (ours, convert) in ALIASES.items():
        if name not in values or name in own:
            continue
        try:
            value = convert(values.pop(name))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from error
        if ours in values and values[ours] != value:
            raise ConfigError(f"{where}: {ours} is {values[ours]!r} but {name}, the same thing, is {value!r}: keep one")
        values[ours] = value
    return values


def written_as(hparams: Any) -> dict[str, str]:
    """Our names of the keys that a file has under EasyEdit2's, with EasyEdit2's.

    Args:
        hparams: the host's, of one of our methods.
    """
    given_names = {name for name, value in vars(hparams).items() if value is not None}
    return {ours: name for name, (ours, _) in ALIASES.items() if name in given_names and ours not in given_names}
