"""Our search over a Hugging Face model, against that model's own `generate`: the same outputs, the same scores.

The model stays where it is and becomes an engine, so that only the search is compared. It is trained for a moment to say
sequences backwards, badly: so outputs vary with the source, end, and have close rivals.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig, MarianConfig, MarianMTModel

from isthmus.core.padded import Padded
from isthmus.engines.engine import EngineState
from isthmus.generate.jobs import Job, Target, search_jobs
from isthmus.generate.options import GenerationOptions
from isthmus.generate.state import Hypothesis

PAD, START, END, SIZE, LIMIT = 0, 2, 3, 41, 17


@dataclass(frozen=True)
class Rows:
    """The encoder's output and the ids so far of each row; every step reads them from the beginning."""

    states_BSD: Tensor
    mask_BS: Tensor
    ids_BT: Tensor

    def select(self, rows: Tensor) -> Rows:
        return Rows(self.states_BSD[rows], self.mask_BS[rows], self.ids_BT[rows])


class MarianEngine:
    start_ids = (START,)
    device = "cpu"

    def __init__(self, model: Any) -> None:
        self.model = model

    def running(self) -> AbstractContextManager[None]:
        return nullcontext()

    def start(self, source: Padded) -> Rows:
        mask_BS = source.mask_BT.long()
        states_BSD = self.model.get_encoder()(input_ids=source.ids_BT, attention_mask=mask_BS).last_hidden_state
        return Rows(states_BSD, mask_BS, torch.zeros((len(mask_BS), 0), dtype=torch.int64))

    def step(self, tokens_BT: Tensor, state: EngineState, weights: bool = False) -> tuple[Tensor, Rows, None]:
        assert isinstance(state, Rows)
        ids_BT = torch.cat([state.ids_BT, tokens_BT], dim=1)
        logits = self.model(
            encoder_outputs=(state.states_BSD,), attention_mask=state.mask_BS, decoder_input_ids=ids_BT, use_cache=False
        ).logits
        return logits[:, -1].float().log_softmax(-1), Rows(state.states_BSD, state.mask_BS, ids_BT), None


def some_rows(count: int, seed: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 9, (count,), generator=generator).tolist()
    return [[*torch.randint(4, SIZE, (length,), generator=generator).tolist(), END] for length in lengths]


@pytest.fixture(scope="module")
def marian() -> Any:
    torch.manual_seed(3)
    config = MarianConfig(
        vocab_size=SIZE,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=23,
        decoder_ffn_dim=23,
        max_position_embeddings=64,
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=START,
        forced_eos_token_id=None,
        scale_embedding=True,
        dropout=0.0,
    )
    model: Any = MarianMTModel(config)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(150):
        rows = some_rows(64, seed=100 + step)
        source, target = Padded.of(rows), Padded.of([[*row[-2::-1], END] for row in rows])
        labels_BT = target.ids_BT.masked_fill(~target.mask_BT, -100)
        loss = model(source.ids_BT, attention_mask=source.mask_BT.long(), labels=labels_BT).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    return model


@pytest.fixture(scope="module")
def jobs() -> list[Job]:
    return [Job(tuple(row)) for row in some_rows(67, seed=4)]


def theirs(model: Any, jobs: list[Job], values: dict[str, Any]) -> list[list[tuple[list[int], float]]]:
    """What Hugging Face finds: (ids with the end, score) of each hypothesis."""
    source = Padded.of([job.source for job in jobs])
    config: Any = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=LIMIT + 1,  # theirs counts the end
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=START,
        suppress_tokens=[PAD, START],
        return_dict_in_generate=True,
        output_scores=True,
        **values,
    )
    with torch.inference_mode():
        out = model.generate(source.ids_BT, attention_mask=source.mask_BT.long(), generation_config=config)
    rows = out.sequences[:, 1:].tolist()
    scores = out.sequences_scores.tolist() if values["num_beams"] > 1 else [0.0] * len(rows)
    n = values.get("num_return_sequences", 1)
    cut = [row[: row.index(END) + 1] if END in row else row for row in rows]
    return [list(zip(cut[i : i + n], scores[i : i + n], strict=True)) for i in range(0, len(rows), n)]


CASES: list[dict[str, Any]] = [
    {"num_beams": 1},
    {"num_beams": 2},
    {"num_beams": 4, "length_penalty": 0.6},
    {"num_beams": 4, "num_return_sequences": 4, "early_stopping": True},
    {"num_beams": 4, "num_return_sequences": 3, "length_penalty": 0.0, "early_stopping": "never"},
    {"num_beams": 5, "length_penalty": 1.4},
    {"num_beams": 8, "num_return_sequences": 5},
    {"num_beams": 8, "length_penalty": -0.5, "early_stopping": "never"},
    {"num_beams": 3, "early_stopping": "never", "length_penalty": 1.0},
]


@pytest.mark.parametrize("values", CASES, ids=str)
def test_outputs_and_scores_are_those_of_generate(marian: Any, jobs: list[Job], values: dict[str, Any]) -> None:
    options = GenerationOptions.of({**values, "max_length": LIMIT})
    found = search_jobs(MarianEngine(marian), jobs, Target(END, {PAD, START}), options)
    compared = 0
    outputs: set[tuple[int, ...]] = set()
    for expected, one in zip(theirs(marian, jobs, values), found, strict=True):
        # Outputs cut off at the maximum length stand after those that ended here, and among them there.
        if all(END in ids for ids, _ in expected):
            compared += 1
            assert [with_end(hypothesis) for hypothesis in one.hypotheses] == [ids for ids, _ in expected]
            if values["num_beams"] > 1:
                scores = [hypothesis.normalised for hypothesis in one.hypotheses]
                assert scores == pytest.approx([score for _, score in expected], rel=1e-5, abs=1e-5)
            outputs |= {hypothesis.ids for hypothesis in one.hypotheses}
    assert compared >= 60
    assert len(outputs) >= 20


def with_end(hypothesis: Hypothesis) -> list[int]:
    return [*hypothesis.ids, END] if hypothesis.stop == "end" else list(hypothesis.ids)
