"""Read activations files: hidden states of one layer and what an intervention adds, as a NumPy archive (.npz, no
pickles).

h        [n, d]            activations of stably handled inputs at the intervened place (m = 0); required
dh       [d] or [n, d]     change at m = 1, one for all rows or one for each; required
w_util   [d]               utility direction; or
util     [n]               utility log-odds of each row, from which the direction is estimated by ridge regression
w_pref   [d]               preference direction (optional); pref [n] likewise
pair     [n]               which pair a row comes from, numbers or texts (optional)
model, layer               strings or numbers, kept as labels (optional)
"""

from __future__ import annotations

import io
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..files.reading import cut, first_double, read_bounded, require_within, shown
from ..types import DataError, FloatArray

MIN_ROWS = 20
RIDGE = 1e-2  # of the mean eigenvalue
DAMAGED = (
    ValueError,
    OSError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Activations:
    """Contents of an activations file; ``dh`` is broadcast to every row, and absent arrays are None.

    Attributes:
        h: ``[n d]`` activations at m = 0.
        dh: ``[n d]`` change of each row at m = 1.
        w_util: ``[d]`` utility direction.
        w_pref: ``[d]`` preference direction.
        label: model and layer, for tables.
        pair: ``[n]`` pair that each row comes from.
    """

    h: FloatArray
    dh: FloatArray
    w_util: FloatArray | None
    w_pref: FloatArray | None
    label: str
    pair: npt.NDArray[Any] | None = None


def read_activations(path: str | Path) -> Activations:
    """Read an activations file.

    Args:
        path: the file, .npz.

    Raises:
        DataError: unreadable, a key is missing, a shape does not fit, a value is not a finite number, too few rows, or
            h, dh or a direction that says nothing (h constant, the others 0).
    """
    path = Path(path)
    data = _load(path)
    for key in ("h", "dh"):
        if key not in data:
            raise DataError(f"{path}: key {key!r} is missing; h and dh are required.")
    h = _array(path, data, "h", 2)
    n, d = h.shape
    if n < MIN_ROWS:
        raise DataError(f"{path}: h has {n} rows; at least {MIN_ROWS} are needed to describe a manifold.")
    if d == 0 or not np.ptp(h, axis=0).any():
        raise DataError(f"{path}: h is the same in all {n} rows; activations of different inputs are needed.")
    dh = _numbers(path, data, "dh")
    if dh.shape not in ((d,), (n, d)):
        raise DataError(f"{path}: dh has shape {dh.shape}; it must be ({d},) or ({n}, {d}).")
    if not dh.any():
        raise DataError(f"{path}: dh is 0 everywhere; it must hold what the intervention adds at m = 1.")
    label = " ".join(cut(str(data[key]), 80) for key in ("model", "layer") if key in data)
    directions = [_direction(path, data, h, name) for name in ("util", "pref")]
    return Activations(h, np.broadcast_to(dh, h.shape), directions[0], directions[1], label, _pairs(path, data, n))


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        data = read_bounded(path, DataError)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file.") from None
    if data.startswith(b"\x93NUMPY"):
        raise DataError(f"{path}: holds one bare array; save h and dh by name with numpy.savez.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [entry.filename for entry in archive.infolist()]
            twice = first_double(names)
            if twice is not None:
                raise DataError(f"{path}: {shown(twice)} stands twice in the archive; save it anew.")
            require_within("BYTES", sum(entry.file_size for entry in archive.infolist()), path, DataError)
            return {entry.filename.removesuffix(".npy"): _member(archive, entry) for entry in archive.infolist()}
    except DAMAGED as error:
        raise DataError(f"{path}: not a readable .npz archive ({cut(str(error), 120)}).") from error


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """One array; what its header states is compared with its size before memory is taken."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file, max_header_size=10_000)
        stated = math.prod(shape) * dtype.itemsize
        if dtype.hasobject:
            raise ValueError(f"{entry.filename} holds Python objects, which are not read")
        if any(n < 0 for n in shape) or stated != entry.file_size - file.tell():
            raise ValueError(f"{entry.filename} states {shown(shape)} of {cut(str(dtype), 40)} and has another size")
    with archive.open(entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _numbers(path: Path, data: dict[str, npt.NDArray[Any]], key: str) -> FloatArray:
    values = data[key]
    if values.dtype.kind not in "fiub":
        raise DataError(f"{path}: {key} holds values of type {values.dtype}; it must hold real numbers.")
    values = values.astype(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        where = ", ".join(str(int(i)) for i in bad[0])
        raise DataError(f"{path}: {key}[{where}] is {values[tuple(bad[0])]}; every value must be finite.")
    return values


def _array(path: Path, data: dict[str, npt.NDArray[Any]], key: str, ndim: int) -> FloatArray:
    values = _numbers(path, data, key)
    if values.ndim != ndim:
        raise DataError(f"{path}: {key} has shape {values.shape}; it must have {ndim} dimensions.")
    return values


def _pairs(path: Path, data: dict[str, npt.NDArray[Any]], n: int) -> npt.NDArray[Any] | None:
    if "pair" not in data:
        return None
    pair = data["pair"]
    if pair.shape != (n,):
        raise DataError(f"{path}: pair has shape {pair.shape}; it must name the pair of each of the {n} rows of h.")
    return pair


def _direction(path: Path, data: dict[str, npt.NDArray[Any]], h: FloatArray, name: str) -> FloatArray | None:
    """A direction in activation space: ``w_<name>`` as given, or ridge regression of ``<name>`` on h, or None."""
    n, d = h.shape
    if f"w_{name}" in data:
        w = _array(path, data, f"w_{name}", 1)
        if w.shape != (d,):
            raise DataError(f"{path}: w_{name} has {len(w)} entries; h has {d} columns.")
        if not w.any():
            raise DataError(f"{path}: w_{name} is 0 everywhere; a direction must be nonzero: leave the key out.")
        return w
    if name not in data:
        return None
    y = _array(path, data, name, 1)
    if y.shape != (n,):
        raise DataError(f"{path}: {name} has {len(y)} entries; h has {n} rows.")
    if not np.ptp(y) > 0:
        raise DataError(f"{path}: {name} is the same in every row: no direction follows from it; leave the key out.")
    centred = h - h.mean(axis=0)
    gram = centred @ centred.T
    dual = np.linalg.solve(gram + RIDGE * np.trace(gram) / n * np.eye(n), y - y.mean())
    return np.asarray(centred.T @ dual, dtype=np.float64)
