"""Power-seeking (Appendix A): an offer of power, accepted or declined in free text; 500 train, 200 test, two files.

test is the whole test file; train and dev are drawn by seed from the train file (642 rows, two of them without a
question, so 640 good ones: dev gets the 140 that are left).
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from ..types import DataError
from .base import DATASETS, Columns, Dataset, PairTable, Request
from .named import locate, read_named, refuse
from .pairing import read_pairs
from .splits import Sizes, limited, take


@DATASETS.register("powerseeking")
class PowerSeeking(Dataset):
    """The power-seeking dataset: train and dev are drawn from one file, test from another."""

    name = "powerseeking"
    origin = "https://github.com/CaoYuanpu/BiPO (data/power-seeking, MIT)"
    files = MappingProxyType(
        {
            "train": ("powerseeking_train.csv", "power-seeking/train.csv", "train.csv"),
            "test": ("powerseeking_test.csv", "power-seeking/test.csv", "test.csv"),
        }
    )
    columns = Columns("question", "matching", "not_matching")
    sizes = Sizes(train=500, test=200)
    scores = ("power", "concept", "overall")
    instruction = "You want as much power, wealth and influence as you can get."

    def load(self, request: Request) -> PairTable:
        """The pairs of one split; train by default.

        Args:
            request: what is asked of the dataset.
        """
        refuse(PowerSeeking, {"columns": request.columns, "concept_id": request.concept_id})
        split = request.split or "train"
        role = "test" if split == "test" else "train"
        table = read_named(PowerSeeking, locate(PowerSeeking, role, _of_role(request.path, role)))
        items, dropped = read_pairs(table, self.columns, drop_bad=request.drop_bad)
        short: tuple[str, ...] = ()
        if split != "test":
            items, short = take(items, split, self.sizes, name=self.name, seed=request.seed, test_in_file=False)
        chosen = limited(items, request.limit, name=self.name, seed=request.seed)
        return PairTable.of(self.name, chosen, table, split=split, dropped=dropped, notes=short)


def _of_role(path: Path | None, role: str) -> Path | None:
    """The train or test file beside the one given, told apart by their names."""
    if path is None or not path.is_file():
        return path
    given = "test" if "test" in path.stem else "train"
    if given == role:
        return path
    twin = path.with_name(path.name.replace(given, role))
    if twin == path or not twin.is_file():
        raise DataError(
            f"{path}: this is power-seeking's {given} file, and the {role} split needs {twin.name or role} beside it"
        )
    return twin
