"""A stand-in for EasyEdit2, for tests: small, and in what a plugin meets it behaves like the real one (main branch).

It has the same module names, tables, loaders, wrappers and call signatures, and the same broken exports: importing
``steer.utils`` fails unless someone mends ``steer.vector_generators`` and ``steer.vector_appliers``.
"""

import contextlib
import importlib

for _name in ("steer.datasets", "steer.models", "steer.utils"):
    with contextlib.suppress(Exception):  # as the real one does
        importlib.import_module(_name)
