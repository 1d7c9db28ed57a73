"""EasyEdit2's own training loop on the benchmark's pairs: one step, or one m of a sweep (the loop in ``inference``).

The clone is the one that EASYEDIT_HOME names. Nothing in it is changed: the package's plugin restores the exports that
its import order loses, and the loop gets the setting that it reads and its own hyperparameters lack. The texts are the
benchmark's token ids decoded, the hyperparameters those of its SPLIT files; ``pairs`` are its preference pairs, of
which it ships with two.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine_cases import Case
from engine_turns import Piece, Work

ONE, TWO = ("orig_add",), ("orig_add", "orig_sub")
SETTINGS = {
    "pos_loss_weight": 1.0, "neg_loss_weight": 0.5, "margin_penalty_weight": 8, "margin_threshold": 0.3, "dropout": 0.1,
    "gradient_accumulation_steps": 1, "n_epochs": 1, "lr": 0.08, "low_rank_dimension": 1,
    "intervention_method": "vector", "substraction_type": "normal", "save_vectors": False, "output_length": 512,
    "use_chat_template": True, "device": "cpu",
}  # fmt: skip


class NotHere(Exception):
    """EasyEdit2 cannot be benchmarked here; the message says why."""


class EasyEdit:
    """EasyEdit2 with its own copy of a model.

    Args:
        case: whose model, pairs and layer it gets.
        tokenizer: of the model.

    Raises:
        NotHere: no clone is named, or it cannot be imported here.
    """

    def __init__(self, case: Case, tokenizer: Any) -> None:
        home = os.environ.get("EASYEDIT_HOME")
        if not home:
            raise NotHere("EasyEdit2: EASYEDIT_HOME is not the path of a clone")
        os.environ["TQDM_DISABLE"] = "1"
        sys.path[:0] = [] if home in sys.path else [str(Path(home).resolve())]
        try:
            importlib.import_module("easyedit_split.easyedit").register()
            self.trainer = importlib.import_module("steer.trainer.SFTTrainer").SFTTrainer
            self.hparams = importlib.import_module(
                "steer.vector_generators.spilt.generate_spilt_hparams"
            ).SpiltHyperParams
            get_model = importlib.import_module("steer.models.get_model").get_model
        except ImportError as missing:
            raise NotHere(f"EasyEdit2 in {Path(home).name} cannot be imported here: {missing}") from missing
        self.case = case
        with tempfile.TemporaryDirectory() as folder, _silent():
            place = Path(folder) / f"{case.model.config.model_type}-bench"  # its loader goes by the name
            case.model.save_pretrained(place)
            tokenizer.save_pretrained(place)
            self.model, self.tokenizer = get_model(self._hparams(str(place), 1, ONE, (1.0,)))
        self.tokenizer.padding_side = "right"
        self.tokenizer.model_max_length = 512

    def _hparams(self, place: str, batch: int, pairs: Sequence[str], factors: Sequence[float]) -> Any:
        return self.hparams(
            model_name_or_path=place, layers=[self.case.layer], batch_size=batch, preference_pairs=list(pairs),
            steering_factors=list(factors), **SETTINGS,
        )  # fmt: skip

    def step(self, name: str, batch: int, pairs: Sequence[str] = ONE) -> Work:
        """One optimiser step over the case's first pairs.

        Args:
            name: in the table.
            batch: how many pairs.
            pairs: preference pairs, one minibatch each.
        """
        return Work(name, lambda: self._run(batch, pairs, inference=False))

    def point(self, name: str, batch: int, pairs: Sequence[str] = ONE) -> Work:
        """Negative log-likelihood of both answers of the case's first pairs at one m, without a backward pass.

        Args:
            name: in the table.
            batch: how many pairs.
            pairs: preference pairs, one minibatch each.
        """
        return Work(name, lambda: self._run(batch, pairs, inference=True))

    def _run(self, batch: int, pairs: Sequence[str], *, inference: bool) -> Piece:
        hparams = self._hparams("", batch, pairs, (1.0,))
        hparams.inference = inference
        hparams.sft_preference_type = "winning_only"  # read by the loop, missing among its hyperparameters
        self.model.hparams = hparams
        rows = [
            {
                "question": self.tokenizer.decode(pair.prompt),
                "matching": self.tokenizer.decode(pair.positive),
                "not_matching": self.tokenizer.decode(pair.negative),
            }
            for pair in self.case.pairs[:batch]
        ]
        with _silent():
            trainer = self.trainer(model=self.model, layers=[self.case.layer], hparams=hparams)
            trainer.make_model(preference_pairs=list(pairs), dropout=SETTINGS["dropout"])

        def loop() -> None:
            with _silent():
                trainer.train(rows, preference_pairs=list(pairs), prefix_length=1, positions="all", exclude_bos=True)

        return loop


@contextlib.contextmanager
def _silent() -> Any:
    """Suppress EasyEdit2's prints, which are not part of the measurement."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
