"""Runs a model that `isthmus export MODEL OUT --to onnx` wrote, without PyTorch: numpy and onnxruntime search greedily.

python examples/onnx_without_torch.py OUT "I love this beer."
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime

from isthmus.data.codec import Codec
from isthmus.data.example import Example


def translate(folder: Path, text: str, target_language: str = "", longest: int = 100) -> str:
    """The most probable piece again and again, until the end comes."""
    codec = Codec.load(folder)
    encode, step = (onnxruntime.InferenceSession(str(folder / f"{name}.onnx")) for name in ("encode", "step"))
    ids = np.array([codec.source_ids(Example((text,), "", target_language=target_language))])
    begun = encode.run(None, {"ids": ids, "lengths": np.array([ids.shape[1]])})
    state = {
        one.name: np.zeros((1, one.shape[1], longest, one.shape[3]), np.float32)
        for one in step.get_inputs()
        if one.name.startswith("past") and len(one.shape) == 4
    }
    state |= dict(zip((one.name for one in encode.get_outputs()), begun, strict=True))
    output, control = [codec.config.frame.start], sorted(codec.target.vocabulary.control)
    while output[-1] != codec.target.vocabulary.eos and len(output) < longest:
        given = {**state, "token": np.array([output[-1:]]), "position": np.array([len(output) - 1])}
        found = step.run(None, {one.name: given[one.name] for one in step.get_inputs()})
        named = dict(zip((one.name for one in step.get_outputs()), found, strict=True))
        state |= {name.removeprefix("next_"): each for name, each in named.items() if name.startswith("next_")}
        scores = named["log_probs"]
        scores[:, control] = -np.inf
        output.append(int(scores[0].argmax()))
    return codec.text(output[1:])


if __name__ == "__main__":
    sys.stdout.write(translate(Path(sys.argv[1]), sys.argv[2], *sys.argv[3:]) + "\n")
