from .hparams import *  # noqa: F403
from .load_hparams import *  # noqa: F403

from .alg_dict import *  # noqa: F403  # isort: skip
