"""The mean of models: each weight is the mean, the first model stays as it is, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import isthmus
from isthmus.core.errors import InputError
from isthmus.model.build import ModelConfig
from isthmus.model.bundle import Bundle, weights
from tests.unit.generate.tiny_bundle import MODEL, tiny_bundle


def changed(amount: float) -> Bundle:
    bundle = tiny_bundle()
    with torch.no_grad():
        for parameter in bundle.model.parameters():
            parameter.mul_(amount)
    return bundle


def test_each_weight_is_the_mean(tmp_path: Path) -> None:
    bundles = [changed(amount) for amount in (1.0, 2.0, 6.0)]
    before = weights(tiny_bundle().model)
    averaged = isthmus.average(bundles)
    for name, value in weights(averaged.model).items():
        torch.testing.assert_close(value, 3 * before[name])
        assert torch.equal(weights(bundles[0].model)[name], before[name])
    averaged.save(tmp_path / "mean")
    assert isthmus.load(tmp_path / "mean").score(["ab"], ["cd"])[0].total < 0


def test_the_mean_of_one_is_that_one() -> None:
    one = tiny_bundle(generation={"num_beams": 2})
    alone = isthmus.average([one])
    assert all(torch.equal(value, weights(one.model)[name]) for name, value in weights(alone.model).items())
    assert alone.generation == {"num_beams": 2}
    assert alone.model is not one.model


def test_what_does_not_fit_is_refused() -> None:
    one = tiny_bundle()
    other = replace(one, config=ModelConfig.of({**MODEL, "d_model": 64}))
    with pytest.raises(InputError, match="share their model configuration"):
        isthmus.average([one, other])
    with pytest.raises(InputError, match="share their codec"):
        isthmus.average([one, tiny_bundle(codec={"context": 1})])
    with pytest.raises(InputError, match="needs one"):
        isthmus.average([])
