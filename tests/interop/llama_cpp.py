"""llama.cpp itself, through the shared library of the package ``xllamacpp``: its C interface, called by ctypes.

The package's own Python interface takes LoRA adapters and no control vectors, but its library has all of ``llama.h``
and the loader of ``--control-vector-scaled``. Parameter structures are passed as their defaults, whatever their size: a
buffer that is larger than any of them stands in for each.
"""

from __future__ import annotations

import ctypes
import importlib.util
from ctypes import POINTER, byref, c_bool, c_char_p, c_float, c_int32, c_size_t, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_LOADER = "_Z26common_control_vector_loadRKSt6vectorI31common_control_vector_load_infoSaIS0_EE"


class _Opaque(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_byte * 1024),)


class _Vector(ctypes.Structure):
    """A ``std::vector``."""

    _fields_ = (("begin", c_void_p), ("end", c_void_p), ("room", c_void_p))


class _LoadInfo(ctypes.Structure):
    """``common_control_vector_load_info``: a strength and a ``std::string``, in the Linux wheels one pointer to it."""

    _fields_ = (("strength", c_float), ("name", c_void_p))


class _ControlVector(ctypes.Structure):
    """``common_control_vector_data``."""

    _fields_ = (("n_embd", ctypes.c_int), ("data", _Vector))


def installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("xllamacpp") is not None


@cache
def _library() -> Any:
    spec = importlib.util.find_spec("xllamacpp")
    assert spec is not None
    assert spec.origin is not None
    (path,) = Path(spec.origin).parent.glob("*.so")
    lib = ctypes.CDLL(str(path))
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "llama_model_default_params": (_Opaque, []),
        "llama_context_default_params": (_Opaque, []),
        "llama_model_load_from_file": (c_void_p, [c_char_p, _Opaque]),
        "llama_init_from_model": (c_void_p, [c_void_p, _Opaque]),
        "llama_model_get_vocab": (c_void_p, [c_void_p]),
        "llama_vocab_n_tokens": (c_int32, [c_void_p]),
        "llama_model_n_layer": (c_int32, [c_void_p]),
        "llama_get_memory": (c_void_p, [c_void_p]),
        "llama_memory_clear": (None, [c_void_p, c_bool]),
        "llama_set_n_threads": (None, [c_void_p, c_int32, c_int32]),
        "llama_batch_get_one": (_Opaque, [POINTER(c_int32), c_int32]),
        "llama_decode": (c_int32, [c_void_p, _Opaque]),
        "llama_get_logits_ith": (POINTER(c_float), [c_void_p, c_int32]),
        "llama_set_adapter_cvec": (c_int32, [c_void_p, c_void_p, c_size_t, c_int32, c_int32, c_int32]),
        "llama_adapter_lora_init": (c_void_p, [c_void_p, c_char_p]),
        "llama_set_adapters_lora": (c_int32, [c_void_p, POINTER(c_void_p), c_size_t, POINTER(c_float)]),
        _LOADER: (_ControlVector, [POINTER(_Vector)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    log = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)(lambda level, text, data: None)
    lib.keep = log
    lib.llama_log_set(log, None)
    lib.llama_backend_init()
    return lib


class Llama:
    """A model that llama.cpp has loaded from a GGUF file."""

    def __init__(self, path: Path) -> None:
        self.lib = _library()
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), self.lib.llama_model_default_params())
        assert self.model, "llama.cpp did not load the model"
        self.context = self.lib.llama_init_from_model(self.model, self.lib.llama_context_default_params())
        assert self.context
        self.lib.llama_set_n_threads(self.context, 1, 1)
        self.width = self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(self.model))
        self.adapters: dict[Path, int] = {}

    def logp(self, ids: list[int], then: int = 0) -> npt.NDArray[np.float64]:
        """``[then + 1, V]`` log-probabilities of what follows ``ids`` and of ``then`` greedy tokens after them."""
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        rows = []
        for _ in range(then + 1):
            tokens = (c_int32 * len(ids))(*ids)
            assert self.lib.llama_decode(self.context, self.lib.llama_batch_get_one(tokens, len(ids))) == 0
            raw = np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, -1), (self.width,))
            logits = raw.astype(np.float64)
            rows.append(logits - logits.max() - np.log(np.exp(logits - logits.max()).sum()))
            ids = [int(logits.argmax())]
        return np.stack(rows)

    def control(self, path: Path | None, scale: float = 1.0) -> None:
        """Steer by a control vector's file, as ``--control-vector-scaled FILE:scale`` does; by none where None."""
        if path is None:
            assert self.lib.llama_set_adapter_cvec(self.context, None, 0, 0, 0, 0) == 0
            return
        name = str(path).encode()
        held = ctypes.create_string_buffer(name)
        info = _LoadInfo(scale, ctypes.addressof(held))
        begin = ctypes.addressof(info)
        infos = _Vector(begin, begin + ctypes.sizeof(info), begin + ctypes.sizeof(info))
        found = getattr(self.lib, _LOADER)(byref(infos))
        if found.n_embd <= 0:
            raise ValueError(f"llama.cpp refuses {path}")
        length = (found.data.end - found.data.begin) // 4
        layers = self.lib.llama_model_n_layer(self.model)
        done = self.lib.llama_set_adapter_cvec(self.context, found.data.begin, length, found.n_embd, 1, layers)
        assert done == 0

    def lora(self, path: Path | None, scale: float = 1.0) -> None:
        """Apply a LoRA adapter at a scale, as ``--lora-scaled FILE:scale`` does; none where None."""
        if path is None:
            assert self.lib.llama_set_adapters_lora(self.context, None, 0, None) == 0
            return
        if path not in self.adapters:
            adapter = self.lib.llama_adapter_lora_init(self.model, str(path).encode())
            if not adapter:
                raise ValueError(f"llama.cpp refuses {path}")
            self.adapters[path] = adapter
        chosen, factor = (c_void_p * 1)(self.adapters[path]), (c_float * 1)(scale)
        assert self.lib.llama_set_adapters_lora(self.context, chosen, 1, factor) == 0
