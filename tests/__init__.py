"""The tests, with one installed package beside the library: ``plugin/``, found through its entry points alone."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "plugin"))
