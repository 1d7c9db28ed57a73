"""Side effects on neutral prompts and judged text quality over m, as inputs to the choice of m.

    collateral    m1, kl (summed over an answer's tokens, nats), tokens                         a row per m and prompt
    texts         m1, prompt, overall (0 to 2), and what it is made of; text, if it is to be shown            the same

KL per token is the sum over prompts of ``kl`` over that of ``tokens``; between measured m it is read off in a straight
line, beyond them no m is within a budget. At m = 0 it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ...sweep_table import read_columns
from ...types import ConfigError, DataError, FloatArray

MOST_KL = 0.25
"""Nats per token that steering may change neutral answers by, unless told otherwise."""
COLLATERAL_COLUMNS = ("m1", "kl", "tokens")
TEXT_COLUMNS = ("m1", "prompt", "overall")


@dataclass(frozen=True)
class Collateral:
    """Side effects over m: KL divergence per token on neutral prompts, and its allowed maximum.

    Attributes:
        m: ``[k]`` measured, sorted.
        kl: ``[k]`` nats per token.
        most: allowed, nats per token.
    """

    m: FloatArray
    kl: FloatArray
    most: float = MOST_KL

    def __post_init__(self) -> None:
        if not 0 < self.most < float("inf"):
            raise ConfigError(f"the KL budget is {self.most} nats per token; it must be a positive number.")

    @classmethod
    def of(cls, table: pd.DataFrame, most: float = MOST_KL) -> Collateral:
        """Average a table with one row per m and prompt.

        Args:
            table: columns as on top of the module.
            most: allowed, nats per token.

        Raises:
            ConfigError: the budget is not positive.
        """
        sums = table.groupby("m1", sort=True)[["kl", "tokens"]].sum()
        values = (sums["kl"] / sums["tokens"]).to_numpy(dtype=np.float64)
        return cls(sums.index.to_numpy(dtype=np.float64), values, most)

    @classmethod
    def read(cls, path: str | Path, most: float = MOST_KL) -> Collateral:
        """Read side effects from a file.

        Args:
            path: .parquet, .csv or .json records.
            most: allowed, nats per token.

        Raises:
            DataError: the file or a column of it cannot be used.
            ConfigError: the budget is not positive.
        """
        return cls.of(read_columns(path, COLLATERAL_COLUMNS), most)

    def at(self, m: Float[FloatArray, " f"]) -> Float[FloatArray, " f"]:
        """KL divergence per token, nats, interpolated; 0 at m = 0, which counts as measured, NaN beyond the rest.

        Args:
            m: any m.
        """
        known, values = self.m, self.kl
        if 0.0 not in known:
            place = int(np.searchsorted(known, 0.0))
            known, values = np.insert(known, place, 0.0), np.insert(values, place, 0.0)
        return np.asarray(np.interp(m, known, values, left=np.nan, right=np.nan))

    def kl_at(self, m: float) -> float | None:
        """KL divergence per token at one m, nats; None beyond what was measured.

        Args:
            m: any m.
        """
        value = float(self.at(np.array([m]))[0])
        return None if np.isnan(value) else value

    def within(self, m: Float[FloatArray, " f"]) -> Bool[np.ndarray, " f"]:
        """Mask of the m that were measured and have a KL divergence within the allowed maximum.

        Args:
            m: any m.
        """
        return np.asarray(np.nan_to_num(self.at(m), nan=np.inf) <= self.most)


@dataclass(frozen=True)
class JudgedTexts:
    """Judge scores over m of texts for the same prompts at each of a few m.

    Attributes:
        m: ``[k]`` sorted, 0 among them.
        overall: ``[prompts k]`` 0 to 2.
        samples: a text for each m, "" where none was kept.
        left_out: prompts without a score at some m, which are left out at every m.
    """

    m: FloatArray
    overall: FloatArray
    samples: tuple[str, ...]
    left_out: int = 0

    @classmethod
    def of(cls, table: pd.DataFrame, source: str = "texts") -> JudgedTexts:
        """Collect scores from a table with one row per m and prompt.

        A prompt whose text has no score at some m, as where a judge gave no readable grade, is left out at every m.

        Args:
            table: columns as on top of the module.
            source: what the table is called in messages.

        Raises:
            DataError: a prompt lacks an m, has one twice, or m = 0 is missing; or no prompt has a score at every m.
        """
        if table.duplicated(["m1", "prompt"]).any():
            raise DataError(f"{source}: a prompt is judged twice at one m; keep one row each.")
        unscored = table.loc[table["overall"].isna(), "prompt"].unique()
        table = table[~table["prompt"].isin(unscored)]
        if table.empty:
            raise DataError(f"{source}: none of {len(unscored)} prompts has a score at every m; judge them again.")
        wide = table.pivot(index="prompt", columns="m1", values="overall")
        if wide.isna().to_numpy().any():
            prompt, m = np.argwhere(wide.isna().to_numpy())[0]
            raise DataError(f"{source}: prompt {wide.index[prompt]} is not judged at m = {wide.columns[m]:g}.")
        if 0.0 not in wide.columns:
            raise DataError(f"{source}: texts at m = 0 are missing; they are the baseline of every gain.")
        first = table.drop_duplicates("m1").set_index("m1")
        samples = first["text"].astype(str).reindex(wide.columns).tolist() if "text" in table else [""] * wide.shape[1]
        m = wide.columns.to_numpy(dtype=np.float64)
        return cls(m, wide.to_numpy(dtype=np.float64), tuple(samples), len(unscored))

    def nearest(self, m: float) -> int:
        """Index of the judged m that is nearest to a given m.

        Args:
            m: any.
        """
        return int(np.abs(self.m - m).argmin())

    @classmethod
    def read(cls, path: str | Path) -> JudgedTexts:
        """Read judge scores from a file.

        Args:
            path: .parquet, .csv or .json records.

        Raises:
            DataError: the file or a column of it cannot be used.
        """
        return cls.of(read_columns(path, TEXT_COLUMNS, undefined=("overall",)), str(path))
