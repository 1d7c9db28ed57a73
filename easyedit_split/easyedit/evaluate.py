"""Preference and utility log-odds (Eq. 7, 8) under any EasyEdit2 method, as it is applied to a model.

    pref = L_n - L_p    util = log-odds of the pair's whole mass    accuracy = share of pairs with pref > 0, ties half

``m`` multiplies what is applied: 1 is the model as it stands, 0 the bare model, so a method applied with multiplier 1
is swept over its own m. EasyEdit2's ``Evaluator`` sees texts alone; log-odds need the model and both answers of a
pair.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import log_odds
from ..api import progress_bar
from ..config import TokenConfig, build
from ..files.journal import Journal
from ..files.reading import read_bounded, reason_of
from ..model.describe import recorded_name
from ..storage import write_whole
from ..sweep_curves import mean_curve
from ..sweep_table import COLUMNS, write_table
from ..text.encode_pairs import EncodedPair
from ..types import ConfigError, DataError, Pair, Scores
from .evaluation_data import Split, load_pairs, pairs_of
from .host.wrappers import tokens_of
from .scored import WrapperLosses
from .strength import applied_methods


@dataclass(frozen=True, slots=True)
class LogOddsSettings:
    """Settings under ``log_odds`` of EasyEdit2's top config.

    Attributes:
        data: one of EasyEdit2's datasets, ``psychopathy:PATH`` and the like, or a file of pairs, which is used whole.
        split: rows of a dataset that are scored.
        m: factors on the applied strength; 0 is the bare model.
        normalize: log-odds from summed losses (``sum``) or from means per token (``mean``).
        drop_bad: leave bad pairs out and name them.
    """

    data: str
    split: Split = "test"
    m: tuple[float, ...] = (0.0, 1.0)
    normalize: log_odds.Normalize = "sum"
    drop_bad: bool = False


class LogOddsEvaluator:
    """Computes log-odds of pairs under all methods applied to an EasyEdit2 model wrapper.

    Args:
        wrapper: EasyEdit2's model wrapper, with methods applied or bare.
        pairs: ``Pair`` or EasyEdit2's rows ``{question, matching, not_matching}``.
        m: factors on the applied strength; 0 is the bare model.
        name: what the pairs are called in results.
        tokens: chat template, system prompt, end token; the wrapper's own template settings where None.
        normalize: ``sum`` of the answers' nats (the paper's curves) or ``mean`` per token.
        drop_bad: leave bad pairs out and name them.
        save_results: write ``<results_dir>/<name>_log_odds.json`` and the table beside it as ``.csv``, one of each per
            concept where one is asked for; a run that was interrupted goes on from the journal beside them.
        results_dir: folder of the results.
        split: what the table says of the rows.

    Attributes:
        table: the last evaluation's rows, one per pair and m, in the columns of ``sweep``.
    """

    def __init__(
        self,
        wrapper: Any,
        pairs: Sequence[Pair | Mapping[str, Any]] = (),
        m: Sequence[float] | float = (0.0, 1.0),
        *,
        name: str = "pairs",
        tokens: TokenConfig | None = None,
        normalize: log_odds.Normalize = "sum",
        drop_bad: bool = False,
        save_results: bool = False,
        results_dir: str | Path = "results",
        split: str = "",
    ) -> None:
        self.wrapper = wrapper
        self.m = (float(m),) if isinstance(m, int | float) else tuple(float(value) for value in m)
        if not self.m or not np.isfinite(self.m).all() or len(set(self.m)) < len(self.m):
            raise ConfigError(f"m is {list(self.m)}: give at least one, each finite and each once")
        self.name = name
        self.tokens = tokens or tokens_of(wrapper)
        self.normalize = normalize
        self.drop_bad = drop_bad
        self.save_results = save_results
        self.results_dir = Path(results_dir)
        self.split = split
        self.pairs = pairs_of(pairs, name)
        self.table: pd.DataFrame | None = None

    @classmethod
    def from_config(cls, wrapper: Any, settings: dict[str, Any], results_dir: Path) -> LogOddsEvaluator:
        """An evaluator from the top config's ``log_odds``: ``data`` (EasyEdit2's training dataset, or a file of pairs)
        and ``m``.

        Args:
            wrapper: EasyEdit2's model wrapper.
            settings: the mapping under ``log_odds``.
            results_dir: folder of the results.

        Raises:
            ConfigError: an unknown key, or no data.
        """
        asked = build(LogOddsSettings, settings, "log_odds")
        name, pairs = load_pairs(asked.data, asked.split)
        whole = Path(asked.data).is_file()
        return cls(
            wrapper,
            pairs,
            asked.m,
            name=name,
            normalize=asked.normalize,
            drop_bad=asked.drop_bad,
            save_results=True,
            results_dir=results_dir,
            split="" if whole else asked.split,
        )

    def evaluate_all(self, concept: str | None = None) -> dict[str, Any]:
        """Score the pairs that were given to the constructor.

        Args:
            concept: score the pairs of this concept alone.
        """
        return self.evaluate(self.pairs, self.name, concept)

    def evaluate_from_direct(
        self, results: Sequence[Mapping[str, Any]], dataset_name: str, concept: str | None = None
    ) -> dict[str, Any]:
        """Score rows that hold both answers; generated results, which hold one, raise an error.

        Args:
            results: rows ``{question, matching, not_matching}``.
            dataset_name: what they are called in results.
            concept: score the pairs of this concept alone.

        Raises:
            DataError: rows without the negative answers.
        """
        return self.evaluate(pairs_of(results, dataset_name), dataset_name, concept)

    def evaluate_from_file(self, dataset_path: str | Path, concept: str | None = None) -> dict[str, Any]:
        """Score a JSON file of rows that hold both answers; a file of generated results raises an error.

        Args:
            dataset_path: the file.
            concept: score the pairs of this concept alone.

        Raises:
            DataError: no such file, not JSON rows, or rows without the negative answers.
        """
        path = Path(dataset_path)
        try:
            rows = json.loads(read_bounded(path, DataError).decode("utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: not readable as JSON: {reason_of(error)}") from error
        if not isinstance(rows, list):
            raise DataError(f"{path}: holds a {type(rows).__name__}, wanted a list of rows")
        return self.evaluate(pairs_of(rows, str(path)), path.stem.removesuffix("_results"), concept)

    def evaluate(self, results: Sequence[Pair], dataset_name: str, concept: str | None = None) -> dict[str, Any]:
        """Score pairs at every m.

        Args:
            results: the pairs.
            dataset_name: what they are called in results.
            concept: score the pairs of this concept alone.

        Returns:
            ``methods, dataset, pairs, undefined_pairs`` and, per m in order, ``m, preference, utility, accuracy``
            (means over pairs, then over concepts, in nats; a pair whose utility is undefined at any m is left out of it
            at every m; accuracy is over all pairs).
        """
        pairs = [pair for pair in results if concept is None or pair.concept == concept]
        if not pairs:
            raise DataError(f"{dataset_name}: no pairs to score{f' of concept {concept!r}' if concept else ''}")
        stem = self.results_dir / f"{dataset_name}{_slug(concept)}_log_odds"
        table = stem.with_name(f"{stem.name}.csv")
        losses = WrapperLosses(self.wrapper, pairs, self.tokens, dataset_name, drop_bad=self.drop_bad)
        journal = Journal.beside(table, losses.fingerprint) if self.save_results else None
        with progress_bar("log-odds") as advance:
            found = losses.over_m(self.m, journal, advance)
        self.table = pd.concat([self._rows(dataset_name, m, *scored) for m, scored in found.items()], ignore_index=True)
        summary = self._summary(dataset_name)
        if journal is not None:
            write_table(self.table, table)
            write_whole(stem.with_name(f"{stem.name}.json"), lambda to: _write_json(to, summary))
            journal.finish()
        return summary

    def _rows(self, dataset_name: str, m: float, encoded: Sequence[EncodedPair], scores: Scores) -> pd.DataFrame:
        L_p, L_n = log_odds.losses(scores, self.normalize)
        values: dict[str, Any] = dict.fromkeys(COLUMNS, "")
        values |= {
            "model": recorded_name(str(getattr(self.wrapper, "model_name_or_path", ""))),
            "dataset": dataset_name,
            "split": self.split,
            "concept": [pair.pair.concept or "" for pair in encoded],
            "pair": [pair.index for pair in encoded],
            "form": "+".join(applied_methods(self.wrapper)) or "bare",
            "seed": 0,
            "m1": m,
            "m2": m,
            **{name: getattr(scores, name) for name in ("L_p", "L_n", "T_p", "T_n")},
            "pref": log_odds.preference(L_p, L_n),
            "util": log_odds.utility(L_p, L_n),
            "status": log_odds.status(L_p, L_n),
        }
        return pd.DataFrame(values, columns=list(COLUMNS))

    def _summary(self, dataset_name: str) -> dict[str, Any]:
        assert self.table is not None
        curve = mean_curve(self.table).set_index("m1").loc[list(self.m)]
        counted = pd.Series(log_odds.credit(self.table["pref"].to_numpy())).groupby(self.table["m1"].to_numpy())
        return {
            "methods": list(applied_methods(self.wrapper)),
            "dataset": dataset_name,
            "pairs": int(curve["pairs"].iloc[0]),
            "undefined_pairs": int(curve["excluded"].iloc[0]),
            "m": list(self.m),
            "preference": curve["pref"].tolist(),
            "utility": [_number(value) for value in curve["util"]],
            "accuracy": [_number(counted.get_group(m).mean(skipna=False)) for m in self.m],
        }


def _slug(concept: str | None) -> str:
    """A concept's name in a file's: letters, digits and a short hash that keeps two alike apart; empty without one."""
    if concept is None:
        return ""
    words = "-".join("".join(c if c.isalnum() else " " for c in concept).split())[:40]
    return f"_{words}_{hashlib.sha256(concept.encode()).hexdigest()[:8]}"


def _number(value: float) -> float | None:
    """A number for JSON: None where it is undefined."""
    return None if math.isnan(value) else float(value)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
