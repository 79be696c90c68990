"""Export to ONNX: one graph that reads a source, and one that reads one more token of a target."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from isthmus.core.errors import ExportError
from isthmus.core.files import new_folder
from isthmus.core.runtime import Runtime
from isthmus.engines.onnx.engine import OnnxEngine
from isthmus.engines.onnx.folder import ENCODE, FORMAT, NEXT, STEP
from isthmus.engines.onnx.graphs import VECTOR, Begin, Example, Step
from isthmus.engines.onnx.recurrence import exportable, translations
from isthmus.export.comparison import Comparison, Probe, compare
from isthmus.export.sides import Stepping
from isthmus.export.source import Source
from isthmus.generate.alignment_head import looks_of
from isthmus.model.bundle import Bundle

ROWS, WIDTH, TOKENS, SLOTS, MOST = 3, 7, 2, 13, 1 << 20


def export(source: Source, out: Path, runtime: Runtime) -> Comparison:
    """Write a bundle as graphs, if onnxruntime computes the same with them.

    Args:
        source: the bundle.
        out: a free place.
        runtime: how to compute for the comparison.

    Raises:
        ExportError: the two differ.
    """
    with new_folder(out) as folder:
        write(source.bundle, folder, source.card("ONNX"))
        codec = source.bundle.codec
        engine = OnnxEngine(folder, (codec.config.frame.start,), runtime)
        side = Stepping(engine, source.target, codec.target.vocabulary.size, codec.first_ids)
        found = compare(source.side(runtime), side, Probe.of(source.examples, codec, source.task), codec)
        found.check(exact=True)
    return found


def write(bundle: Bundle, folder: Path, card: str = "") -> None:
    """Write the graphs, and what belongs to them, into an empty folder.

    Args:
        bundle: what to write.
        folder: where.
        card: the model card, as Markdown.
    """
    one = Example.of(bundle.model, ROWS, WIDTH, TOKENS, SLOTS)
    wider = Example.of(bundle.model, ROWS, WIDTH + 1, TOKENS, SLOTS)
    later = Example.of(bundle.model, ROWS, WIDTH, TOKENS + 1, SLOTS)
    rows, width, slots, tokens = (Dim(name, max=MOST) for name in ("rows", "width", "slots", "tokens"))
    ids, lengths = torch.full((ROWS, WIDTH), 4), torch.tensor([WIDTH, 2, 5])
    begin: dict[str, Any] = {"ids_BS": {0: rows, 1: width}, "lengths_B": {0: rows}}
    past = [f"past_{number}" for number in range(len(one.past))]
    links = [f"link_{number}" for number in range(len(one.links))]
    begun = [*links, *(name for name, part in zip(past, one.past, strict=True) if part.dim() == VECTOR)]
    _graph(Begin(exportable(bundle.model)), (ids, lengths), begin, ("ids", "lengths"), begun, folder / ENCODE)
    step: dict[str, Any] = {
        "token_B1": {0: rows},
        "position_B": {0: rows},
        "past": [{0: rows} if each.dim() == VECTOR else {0: rows, 2: slots} for each in one.past],
        "links": [
            {0: rows} | _growing(link, in_wider, width) | _growing(link, in_later, tokens)
            for link, in_wider, in_later in zip(one.links, wider.links, later.links, strict=True)
        ],
    }
    changed = [*past, *(links[place] for place in one.layout.written)]
    outputs = ["log_probs", "looked", *(f"{NEXT}{name}" for name in changed)]
    inputs = (torch.full((ROWS, 1), 2), one.position_B, one.past, one.links)
    module = Step(bundle.model, one.layout, looks_of(bundle))
    _graph(module, inputs, step, ("token", "position", *past, *links), outputs, folder / STEP)
    bundle.describe(folder, {"onnx": {"format": FORMAT}}, card)


def _growing(one: Tensor, other: Tensor, size: Dim) -> dict[int, Dim]:
    """The axes in which two tensors differ."""
    return {axis: size for axis, sizes in enumerate(zip(one.shape, other.shape, strict=True)) if len({*sizes}) > 1}


def _graph(
    module: nn.Module,
    inputs: tuple[Any, ...],
    shapes: dict[str, Any],
    names: Sequence[str],
    outputs: Sequence[str],
    path: Path,
) -> None:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=list(names),
            output_names=list(outputs),
            custom_translation_table=dict(translations()),
            verbose=False,
        )
        if program is None:
            raise ExportError("the exporter gave no graph", got=type(module).__name__, where=str(path))
        program.save(str(path), external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says about packages that it would know too."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
