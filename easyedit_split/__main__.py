"""``python -m easyedit_split``: the command line where the console script is not on the path."""

from __future__ import annotations

from .cli.entry import main

if __name__ == "__main__":
    main()
