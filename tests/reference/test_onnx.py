"""What onnxruntime computes with exported graphs is what the model computes, for any batch and lengths, under our search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from isthmus.core.padded import Padded
from isthmus.core.runtime import Runtime
from isthmus.engines.onnx.engine import OnnxEngine
from isthmus.export.comparison import Probe, compare
from isthmus.export.onnx import write
from isthmus.export.sides import Stepping
from isthmus.generate.alignment_head import FIELD
from isthmus.generate.inputs import Task
from isthmus.generate.jobs import Target
from isthmus.generate.opening import torch_engine
from isthmus.generate.options import GenerationOptions
from isthmus.text.vocabulary import BOS, EOS, SEP
from tests.laws.architectures import Architecture
from tests.reference.test_ctranslate2 import bundle_of

KINDS = (
    Architecture("grouped", "attention", "rms-swiglu", "rotary-none"),
    Architecture("lstm-reversed", "local", "luong-feeding", "learned-target"),
    Architecture("grouped", "interactive", "grouped", "sinusoidal-all"),
    Architecture("gru-both-ways", "additive", "bahdanau", "none-source-target"),
    Architecture("grouped", "own-layer", "grouped", "sinusoidal-all"),
    *(
        Architecture("gru-both-ways", connection, "bahdanau", "none-source-target")
        for connection in ("joint", "slots", "copying-covered", "hierarchical")
    ),
)
NOTED = {"layer": 0, "head": 0, "error": 0.0, "error_of_mean": 0.0, "links": 1}
LONGEST = 20  # more than the slots that caches begin with


@pytest.mark.slow
@pytest.mark.parametrize("architecture", KINDS, ids=str)
def test_scores_and_beams_are_the_same(architecture: Architecture, tmp_path: Path) -> None:
    bundle = replace(bundle_of(architecture.config), info={FIELD: NOTED})
    write(bundle, tmp_path)
    ours, theirs = torch_engine(bundle), OnnxEngine(tmp_path, (BOS,), Runtime(threads=1))
    options = GenerationOptions.of({"num_beams": 3, "num_return_sequences": 3, "max_length": LONGEST})
    target, size = Target(EOS, ()), bundle.codec.target.vocabulary.size
    sides = (Stepping(ours, target, size), Stepping(theirs, target, size))
    found = compare(*sides, Probe.of((), bundle.codec, Task(positions=LONGEST + 1)), bundle.codec, [options])
    assert (found.searched, found.different) == (found.searches, 0)
    found.check(exact=True)
    source, token_BT = Padded.of([[5, SEP, 6, 7, EOS], [EOS]]), torch.tensor([[BOS, 5], [BOS, 6]])
    looked = [engine.step(token_BT, engine.start(source), weights=True)[2] for engine in (ours, theirs)]
    assert looked[0] is not None
    assert looked[1] is not None
    torch.testing.assert_close(looked[0], looked[1], rtol=1e-5, atol=1e-6)
