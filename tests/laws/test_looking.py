"""Law 13 for those who look inside: asking for weights changes no output, and what is seen can be drawn for any architecture."""

from __future__ import annotations

import pytest
import torch

from isthmus.core.padded import Padded
from isthmus.evaluate.attention import look
from isthmus.evaluate.projection import plane
from tests.laws.architectures import FAST, TARGET_SIZE, Architecture, agree, architectures, rows

BOS = 2


@architectures
def test_looking_changes_nothing(architecture: Architecture) -> None:
    model = architecture.model()
    (source,), (target,) = rows(7), rows(5, size=TARGET_SIZE, seed=1)
    with torch.inference_mode():
        before = model(Padded.of([source]), Padded.of([[BOS, *target][:-1]]))[0]
        seen = look(model, (BOS,), source, target)
        after = model(Padded.of([source]), Padded.of([[BOS, *target][:-1]]))[0]
    assert torch.equal(before, after)
    torch.testing.assert_close(seen.log_probs_TV, before, rtol=1e-5, atol=1e-6)
    for heads_HTS in seen.layers:
        if heads_HTS is not None:
            assert heads_HTS.shape[1] == len(target)
            agree(heads_HTS.sum(dim=2), torch.ones(heads_HTS.shape[:2]))
    real = int(seen.memory.mask_BS.sum())
    assert plane(seen.memory.states_BSD[0][seen.memory.mask_BS[0]]).points_S2.shape == (real, 2)


@pytest.mark.parametrize("start", [(BOS,), (BOS, 5, 6)])
def test_the_rows_are_those_of_the_output(start: tuple[int, ...]) -> None:
    model = next(one for one in FAST if one.connection == "attention").model()
    (source,), (target,) = rows(7), rows(5, size=TARGET_SIZE, seed=1)
    seen = look(model, start, source, target)
    assert seen.log_probs_TV.shape[0] == len(target)
    assert all(heads is None or heads.shape[1] == len(target) for heads in seen.layers)
