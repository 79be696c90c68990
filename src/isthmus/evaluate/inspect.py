"""Look into a model while it works on one input: from a bundle and a text to an `Inspection`.

H heads, T target position, S source position, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from isthmus.core.errors import InputError
from isthmus.core.runtime import Runtime
from isthmus.evaluate.attention import Look, look
from isthmus.evaluate.beam_tree import Node, beam_tree
from isthmus.evaluate.inspection import (
    Alignment,
    Branch,
    Candidate,
    Encoded,
    Inspection,
    Layer,
    Matrix,
    Token,
)
from isthmus.evaluate.projection import cosines, plane
from isthmus.generate.alignment import Looked, aligned, words
from isthmus.generate.alignment_head import AlignmentHead, alignment_head
from isthmus.generate.inputs import pair, taken_apart
from isthmus.generate.jobs import Job, Target, prepared
from isthmus.generate.load import translator
from isthmus.generate.options import GenerationOptions
from isthmus.generate.search import search
from isthmus.generate.translator import Translator
from isthmus.generate.variety import settled
from isthmus.generate.wording import in_ids
from isthmus.model.bundle import Bundle, weights_hash

RUNNERS_UP = 5


def inspect(bundle: Bundle, text: str, target: str | None = None, runtime: Runtime | None = None) -> Inspection:
    """Search for an output, then read it (or a given one) piece by piece and note all that can be seen.

    The text is read as a whole, never divided into sentences, and the search is a plain one: no guards, no sampling.

    Args:
        bundle: the model.
        text: the input.
        target: the output to look at; by default what the model finds.
        runtime: where and how to compute.

    Raises:
        InputError: there is no text, it is too long for the model, or nothing was found.
    """
    machine = translator(bundle, runtime)
    codec, task = bundle.codec, machine.task
    options = in_ids(_plain_search(machine.options), codec)
    jobs = taken_apart(text, task, options).jobs(codec, task.positions, 1)
    if not jobs:
        raise InputError(
            "an inspection needs a text", expected="a text", got=repr(text), where="the input", fix="give a text"
        )
    tree, ids = _searched(machine, jobs[0], options)
    found = codec.text(ids)
    if target is not None:
        _, ids = pair(text, target, codec, task, 1)
    if not ids:
        raise InputError("there is no output to look at", got="an empty one", where=repr(text), fix="give a target")
    with machine.engine.running():
        seen = look(bundle.model, machine.engine.start_ids, jobs[0].source, ids)
    source_pieces = tuple(codec.source.pieces(jobs[0].source))
    said = found if target is None else target
    return Inspection(
        model=_described(bundle),
        source=text.strip(),
        target=said,
        given=target is not None,
        found=found,
        source_pieces=source_pieces,
        tokens=_tokens(seen.log_probs_TV, ids, codec.target.pieces),
        score=float(seen.log_probs_TV[torch.arange(len(ids)), ids].sum()),
        encoded=_encoded(seen, source_pieces),
        layers=tuple(_layer(seen, number, source_pieces) for number in range(len(seen.layers))),
        alignment=_alignment(bundle, seen, (text.strip(), said), jobs[0].source, ids),
        tree=tuple(Branch(one, codec.target.pieces([one.id])[0] if one.id >= 0 else "") for one in tree),
        search=f"{options.num_beams} beams, length penalty {options.length_penalty:g}",
        notes=_notes(seen),
    )


def _plain_search(options: GenerationOptions) -> GenerationOptions:
    """The model's own options without sampling, groups of beams and guards: one output of one search, as a whole."""
    whole = {"split_sentences": False, "guards": False, "num_return_sequences": 1, "do_sample": False}
    return settled(options.updated({**whole, "num_beam_groups": 1, "diversity_penalty": 0.0}))


def _searched(machine: Translator, job: Job, options: GenerationOptions) -> tuple[tuple[Node, ...], list[int]]:
    """The tree of the search, and the ids of the best output with its end."""
    end = machine.codec.target.vocabulary.eos
    target = Target(end, machine.codec.target.vocabulary.control, machine.task.positions)
    with machine.engine.running(), torch.inference_mode():
        states = list(search(*prepared(machine.engine, [job], target, options)))
    best = states[-1].finished[0][0]
    return beam_tree(states, end), [*best.ids, end] if best.stop == "end" else list(best.ids)


def _described(bundle: Bundle) -> tuple[tuple[str, str], ...]:
    config, info = bundle.config, bundle.info
    numbers = sum(parameter.numel() for parameter in bundle.model.parameters())
    languages = " → ".join(str(info[one]) for one in ("source_language", "target_language") if info.get(one))
    return (
        *((("languages", languages),) if languages else ()),
        ("encoder", config.encoder.kind),
        ("connection", config.connection.kind),
        ("decoder", config.decoder.kind),
        ("size", str(config.d_model)),
        ("parameters", f"{numbers:,}"),
        ("weights", weights_hash(bundle.model)),
    )


def _tokens(
    log_probs_TV: Tensor, ids: Sequence[int], pieces: Callable[[Sequence[int]], list[str]]
) -> tuple[Token, ...]:
    found = []
    for log_probs_V, id in zip(log_probs_TV, ids, strict=True):
        best = log_probs_V.topk(min(RUNNERS_UP + 1, log_probs_V.shape[0])).indices.tolist()
        others = [other for other in best if other != id][:RUNNERS_UP]
        probability_V = log_probs_V.exp()
        names = pieces([id, *others])
        candidates = [
            Candidate(name, float(probability_V[other])) for name, other in zip(names[1:], others, strict=True)
        ]
        rank = 1 + int((log_probs_V > log_probs_V[id]).sum())
        found.append(Token(names[0], float(probability_V[id]), rank, tuple(candidates)))
    return tuple(found)


def _encoded(seen: Look, pieces: Sequence[str]) -> Encoded:
    memory = seen.memory
    vectors_SD = memory.states_BSD[0][memory.mask_BS[0]].float()
    flat = plane(vectors_SD)
    return Encoded(
        labels=_names(vectors_SD.shape[0], pieces),
        points=tuple((float(x), float(y)) for x, y in flat.points_S2.tolist()),
        shares=flat.shares,
        cosines=_matrix(cosines(vectors_SD)),
        size=vectors_SD.shape[1],
        summary=memory.summary_BD is not None,
    )


def _layer(seen: Look, number: int, pieces: Sequence[str]) -> Layer:
    heads_HTS, copy_TS = seen.layers[number], seen.copies[number]
    width = heads_HTS.shape[2] if heads_HTS is not None else copy_TS.shape[1] if copy_TS is not None else 0
    return Layer(
        columns=_names(width, pieces),
        heads=() if heads_HTS is None else tuple(_matrix(one) for one in heads_HTS),
        copy=() if copy_TS is None else _matrix(copy_TS),
    )


def _names(count: int, pieces: Sequence[str]) -> tuple[str, ...]:
    """The pieces, if so many things are read; else numbers, for they are something else (a few slots, for example)."""
    return tuple(pieces) if count == len(pieces) else tuple(str(number) for number in range(1, count + 1))


def _matrix(values: Tensor) -> Matrix:
    return tuple(tuple(row) for row in values.tolist())


def _alignment(
    bundle: Bundle, seen: Look, texts: tuple[str, str], source: Sequence[int], ids: Sequence[int]
) -> Alignment:
    chosen = alignment_head(bundle)
    weights_TS = seen.head(chosen)
    if weights_TS is None:
        return Alignment((), "none: the decoder has no weights to say where it looked")
    if weights_TS.shape[1] != len(source):
        return Alignment((), "none: what the decoder reads is not the pieces of the source one by one")
    said = [id for id in ids if id != bundle.codec.target.vocabulary.eos]
    links = aligned(*texts, [Looked(source, 0, said, weights_TS)], bundle.codec)
    return Alignment(links, _origin(chosen), tuple(words(texts[0])), tuple(words(texts[1])))


def _origin(chosen: AlignmentHead | None) -> str:
    if chosen is None:
        return "the mean over the heads of the last layer, for want of a better choice in the bundle"
    judged = f"{chosen.links:,} links of the development set on which both directions of IBM Model 1 agree"
    head = "the mean over its heads" if chosen.head is None else f"head {chosen.head + 1}"
    return (
        f"layer {chosen.layer + 1}, {head}: of all the one most like {judged} "
        f"({chosen.error:.0%} of them elsewhere; {chosen.error_of_mean:.0%} by the mean over the last layer)"
    )


def _notes(seen: Look) -> tuple[str, ...]:
    notes = []
    if all(heads is None for heads in seen.layers):
        notes.append("The decoder of this model has no attention weights: what it reads is not divided over positions.")
    elif any(heads is None for heads in seen.layers):
        notes.append("Some layers of the decoder have no attention weights.")
    if seen.memory.summary_BD is not None:
        notes.append("The encoder also makes one vector of the whole source, which is not drawn here.")
    return tuple(notes)
