"""SFT is the cross-entropy of the own answer, and SPLIT without its other terms."""

from __future__ import annotations

import torch

from easyedit_split.training.objectives.sft import Sft, SftConfig
from easyedit_split.training.objectives.split import Split, SplitConfig

from .answer_losses import OTHER, OWN, close


def test_sft_is_split_without_the_other_answer() -> None:
    assert close(Sft(SftConfig()).side_loss(OWN), 2.0, 1.0)
    split = Split(SplitConfig(lambda_n=0.0, gamma=0.0))
    assert torch.equal(Sft(SftConfig()).side_loss(OWN), split.side_loss(OWN, OTHER))
    assert not Sft.needs_other
