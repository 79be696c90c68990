"""Folders of ONNX graphs: exported and opened by the commands, and run without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import isthmus
from isthmus.core.errors import BundleError, InputError
from isthmus.model.bundle import Bundle
from tests.project.source import ROOT
from tests.unit.cli.calling import called
from tests.unit.export.quiet import TEXTS, quiet_bundle

WITHOUT_TORCH = """
import runpy, sys
sys.modules["torch"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_a_model_goes_through_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = quiet_bundle()
    bundle.save(tmp_path / "model")
    out = tmp_path / "out"
    done = called(monkeypatch, "export", tmp_path / "model", out, "--to", "onnx", "--threads", "1")
    assert done.code == 0, done.err
    assert f"compared on {len(TEXTS)} pairs" in done.err
    ours, theirs = (isthmus.load(place, threads=1) for place in (tmp_path / "model", out))
    assert ours.generate(TEXTS) == theirs.generate(TEXTS)
    sampled = [machine.generate(TEXTS, do_sample=True, seed=7, guards=False) for machine in (ours, theirs)]
    assert sampled[0] == sampled[1]
    with pytest.raises(InputError, match="run by onnxruntime"):
        isthmus.load(out, engine="torch")
    with pytest.raises(BundleError, match="cannot read a model from its ONNX graphs"):
        isthmus.load([out, tmp_path / "model"])
    example = ROOT / "examples" / "onnx_without_torch.py"
    command = [sys.executable, "-c", WITHOUT_TORCH, str(example), str(out), TEXTS[0]]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT / "src")})
    assert said.stdout == ours.generate(TEXTS[0], num_beams=1, guards=False)[0] + "\n"


def test_a_bundle_has_no_graphs(tmp_path: Path) -> None:
    bundle: Bundle = quiet_bundle()
    bundle.save(tmp_path / "model")
    with pytest.raises(InputError, match="run by onnxruntime") as caught:
        isthmus.load(tmp_path / "model", engine="onnx")
    assert "without graphs" in caught.value.got


def test_a_quantization_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called(monkeypatch, "export", tmp_path, tmp_path / "out", "--to", "onnx", "--quantization", "int8")
    assert done.code == 2
    assert "--quantization int8" in done.err
