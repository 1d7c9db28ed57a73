"""A steering on the Hugging Face hub: pushed with a model card, loaded again by its name.

    push_to_hub(steering, "user/name")          artifact, m, card, and a figure of its curves where one is given
    Steering.from_pretrained("user/name")       what was pushed

The card says what the record says: base model, data, form, objective, where it acts, the m that is kept with its
evidence, and how to use it. Nothing is claimed that the artifact does not record.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData, ModelHubMixin

from ..files.reading import reason_of
from ..steering.artifact import Artifact
from ..steering.generate import Generated
from ..steering.steering import Steering
from ..types import ConfigError

FIGURE = "curves.png"


class OnHub(ModelHubMixin):
    """An artifact as huggingface_hub's mixin wants it: ``save_pretrained``, ``push_to_hub``, ``from_pretrained``.

    Args:
        artifact: what is pushed; None only while the mixin inspects the class.
        figure: picture of its curves, put into the card.
        texts: answers at some m, put into the card.
        license: of the artifact, as the hub names it, e.g. ``apache-2.0``.
    """

    def __init__(
        self,
        artifact: Artifact,
        figure: Path | None = None,
        texts: Sequence[Generated] = (),
        license: str | None = None,
    ) -> None:
        self.artifact = artifact
        self.figure = figure
        self.texts = tuple(texts)
        self.license = license

    def _save_pretrained(self, save_directory: Path) -> None:
        self.artifact.save_pretrained(save_directory, overwrite=True)
        if self.figure is not None:
            shutil.copyfile(self.figure, save_directory / FIGURE)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **settings: Any) -> OnHub:
        return cls(Artifact.from_pretrained(model_id))

    def generate_model_card(self, *args: Any, **kwargs: Any) -> ModelCard:
        """The model card.

        Args:
            *args: the mixin's, unused.
            **kwargs: the mixin's, unused.
        """
        return ModelCard(model_card(self.artifact, self.figure is not None, self.texts, self.license))


def push_to_hub(
    steering: Steering | Artifact,
    repo_id: str,
    *,
    figure: str | Path | None = None,
    texts: Sequence[Generated] = (),
    license: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    message: str = "Push a steering of easyedit_split",
) -> str:
    """Push an artifact with its m and a model card to the hub.

    Args:
        steering: what was trained, at the m that is to be kept.
        repo_id: ``user/name``.
        figure: picture of its curves, e.g. of ``plot``.
        texts: answers at some m, e.g. of ``es.generate``.
        license: as the hub names it; none is claimed where None.
        private: whether a new repository is private; the hub's default where None.
        token: the hub's token; the one that was logged in with where None.
        message: of the commit.

    Returns:
        The commit's address.

    Raises:
        ConfigError: a sum of several steerings, no such figure, or the hub refuses.
    """
    if isinstance(steering, Steering):
        if len(steering.parts) != 1:
            raise ConfigError("a sum of steerings is not pushed as one: push its parts")
        steering = steering.parts[0].with_chosen()
    picture = None if figure is None else Path(figure)
    if picture is not None and not picture.is_file():
        raise ConfigError(f"{picture}: no such figure")
    from huggingface_hub.errors import HfHubHTTPError

    held = OnHub(steering, picture, texts, license)
    try:
        return str(held.push_to_hub(repo_id, private=private, token=token, commit_message=message))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = reason_of(error)
        raise ConfigError(f"{repo_id} cannot be pushed to the hub ({type(error).__name__}: {reason})") from error


def model_card(artifact: Artifact, figure: bool, texts: Sequence[Generated], license: str | None) -> str:
    """The text of a model card, from an artifact's record alone.

    Args:
        artifact: one concept or several.
        figure: whether ``curves.png`` lies beside the card.
        texts: answers at some m.
        license: as the hub names it.
    """
    record, config = artifact.record, artifact.config
    model, data = record.get("model", {}), record.get("data", {})
    head = ModelCardData(
        license=license,
        library_name="easyedit_split",
        base_model=model.get("id") or None,
        tags=["steering", "activation-steering", config.form],
    )
    rows = {
        "base model": f"{model.get('id', 'unknown')} ({model.get('model_type', '?')}, {model.get('dtype', '?')})",
        "data": f"{data.get('name', 'unknown')} {data.get('split', '')}, {data.get('pairs', '?')} pairs",
        "form": f"{config.form} {config.form_config or ''}",
        "objective": str(record.get("objective", "unknown")),
        "acts at": f"{', '.join(config.sites)}, placement {config.placement}",
        "on tokens": config.positions + (", without the constant opening" if config.skip_prefix else ""),
        "concepts": ", ".join(artifact.concepts),
        "seed": str(record.get("seed", "unknown")),
        "digest": artifact.digest(),
    }
    parts = [
        f"---\n{head.to_yaml()}\n---\n",
        "# A change of one linear map, scaled by m\n",
        "    h' = (W + m1 dW) h + (b + m2 db)\n",
        "\n".join(["| | |", "|-|-|", *(f"| {key} | {' '.join(value.split())} |" for key, value in rows.items())])
        + "\n",
        *_strengths(artifact),
        *([f"## Curves\n\n![Preference and utility over m]({FIGURE})\n"] if figure else []),
        *_answers(texts),
        "## Use\n",
        "```python\nimport easyedit_split as es\n\n"
        f'model, tokenizer = es.load_model("{model.get("id", "...")}")\n'
        'steering = es.Steering.from_pretrained("user/name")\n'
        "with steering(model):\n    model.generate(...)\n```\n",
        "It was trained on that model and fits no other. Far from m = 0 text degrades before anything warns: measure "
        "what another m does on prompts of your own. Steering moves a tendency and guarantees no answer.\n",
    ]
    return "\n".join(parts)


def _strengths(artifact: Artifact) -> list[str]:
    if not artifact.chosen:
        return ["No m was chosen: sweep held-out pairs and let `recommend --save` keep one.\n"]
    found = ["## Strength\n"]
    for concept, chosen in artifact.chosen.items():
        found.append(f"{concept}: m1 = {chosen.m1:g}, m2 = {chosen.m2:g}\n")
        if chosen.evidence:
            found.append(f"```json\n{json.dumps(chosen.evidence, indent=2, ensure_ascii=False)}\n```\n")
    return found


def _answers(texts: Sequence[Generated]) -> list[str]:
    if not texts:
        return []
    lines = [f"| {t.m:g} | {_cell(t.prompt)} | {_cell(t.text)} |" for t in texts]
    return ["## Texts\n", "\n".join(["| m | prompt | answer |", "|-:|-|-|", *lines]) + "\n"]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
