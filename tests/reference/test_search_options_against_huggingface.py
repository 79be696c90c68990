"""What an output may and must say, in whole searches with copied weights: as Hugging Face's `generate` does it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.jobs import Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from tests.laws.architectures import rows
from tests.reference.marian import EOS, PAD, SIZE, START, copied, inputs, reversing

SOURCES = rows(7, 1, 11, 5, 9, size=SIZE, seed=3)
LIMIT = 13

Pair = tuple[Any, TorchEngine]


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Theirs and ours."""
    theirs = reversing("bart")
    return theirs, TorchEngine(copied(theirs), (START,))


def theirs(pair: Pair, options: dict[str, Any]) -> list[list[tuple[tuple[int, ...], float]]]:
    """Their outputs and scores, one source after the other; at the limit they are made to end."""
    found = []
    for source in SOURCES:
        with torch.no_grad():
            out = pair[0].generate(
                **inputs([source]),
                max_new_tokens=LIMIT + 1,
                forced_eos_token_id=EOS,
                return_dict_in_generate=True,
                output_scores=True,
                do_sample=False,
                **options,
            )
        scores = [0.0] if options["num_beams"] == 1 else out.sequences_scores.tolist()
        ids = [tuple(ids[1 : ids.index(EOS, 1)]) for ids in out.sequences.tolist()]
        found.append(list(zip(ids, scores, strict=True)))
    return found


def ours(pair: Pair, options: dict[str, Any]) -> list[list[tuple[tuple[int, ...], float]]]:
    """The same of ours."""
    values = GenerationOptions.of({"max_length": LIMIT, "forced_eos_token_id": EOS, **options})
    jobs = [Job(tuple(source)) for source in SOURCES]
    found = search_jobs(pair[1], jobs, Target(EOS, ()), values)
    return [[(one.ids, one.normalised) for one in several.hypotheses] for several in found]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"no_repeat_ngram_size": 1},
        {"no_repeat_ngram_size": 2, "min_new_tokens": 12},
        {"encoder_no_repeat_ngram_size": 1},
        {"encoder_no_repeat_ngram_size": 2},
        {"bad_words_ids": [[35], [6, 6], [20, 21]]},
        {"bad_words_ids": [[first, second] for first in range(4, 24) for second in range(4, SIZE, 3)]},
        {"suppress_tokens": [PAD, 9, 17, 30]},
        {"begin_suppress_tokens": [*range(4, 25)]},
        {"forced_bos_token_id": 11},
        {"forced_bos_token_id": 11, "begin_suppress_tokens": [*range(4, 25)]},
        {"min_new_tokens": 9},
        {"repetition_penalty": 1.8},
        {
            "repetition_penalty": 0.7,
            "no_repeat_ngram_size": 3,
            "encoder_no_repeat_ngram_size": 3,
            "bad_words_ids": [[5], [6, 7]],
            "suppress_tokens": [PAD, 33],
            "min_new_tokens": 5,
        },
    ],
    ids="+".join,
)
def test_outputs_are_theirs(pair: Pair, beams: int, options: dict[str, Any]) -> None:
    if beams == 1 and "repetition_penalty" in options:
        pytest.skip(
            "theirs penalises logits in greedy search and log-probabilities in beam search; ours always the latter"
        )
    asked = {"num_beams": beams, "num_return_sequences": beams, **options}
    mine, other = ours(pair, asked), theirs(pair, asked)
    assert [[ids for ids, _ in several] for several in mine] == [[ids for ids, _ in several] for several in other]
    if beams > 1:
        for several, expected in zip(mine, other, strict=True):
            assert [score for _, score in several] == pytest.approx([score for _, score in expected], rel=1e-4)
    if options:
        assert mine != ours(pair, {"num_beams": beams, "num_return_sequences": beams})
