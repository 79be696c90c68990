"""Our model with the weights of Hugging Face's Marian and BART computes what they compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import BartForConditionalGeneration, MarianMTModel

from isthmus.core.padded import Padded
from tests.laws.architectures import rows
from tests.reference.marian import copied, inputs, random_bart, random_marian

SOURCES, TARGETS = rows(7, 1, 11, 5, size=41), rows(3, 13, 2, 5, size=41, seed=1)

MODELS = pytest.mark.parametrize(
    ("make", "changes"),
    [
        (random_marian, {"activation_function": "swish"}),
        (random_marian, {"activation_function": "relu", "scale_embedding": False}),
        (random_bart, {}),
        (random_bart, {"scale_embedding": True, "activation_function": "relu"}),
    ],
    ids=["marian-swish", "marian-relu-unscaled", "bart", "bart-relu-scaled"],
)


@MODELS
@torch.no_grad()
def test_encoder_states_and_log_probabilities(make: Any, changes: dict[str, Any]) -> None:
    theirs: MarianMTModel | BartForConditionalGeneration = make(**changes)
    ours, source, target = copied(theirs), Padded.of(SOURCES), Padded.of(TARGETS)
    expected = theirs(**inputs(SOURCES), decoder_input_ids=target.ids_BT)
    states_BSD = ours.encode(source).states_BSD
    torch.testing.assert_close(
        states_BSD[source.mask_BT], expected.encoder_last_hidden_state[source.mask_BT], rtol=1e-4, atol=1e-5
    )
    real_BT = target.mask_BT
    log_probs_BTV = expected.logits.log_softmax(dim=-1)
    torch.testing.assert_close(ours(source, target)[real_BT], log_probs_BTV[real_BT], rtol=1e-4, atol=2e-5)


@MODELS
@torch.no_grad()
def test_attention_weights(make: Any, changes: dict[str, Any]) -> None:
    theirs: MarianMTModel | BartForConditionalGeneration = make(**changes)
    theirs.set_attn_implementation("eager")
    ours, source, target = copied(theirs), Padded.of(SOURCES), Padded.of(TARGETS)
    expected = theirs(**inputs(SOURCES), decoder_input_ids=target.ids_BT, output_attentions=True).cross_attentions
    _, decoded = ours.read(source, target, weights=True)
    assert len(expected) == len(decoded.readings) == 3
    for reading, weights_BHTS in zip(decoded.readings, expected, strict=True):
        assert reading.weights_BHTS is not None
        torch.testing.assert_close(reading.weights_BHTS, weights_BHTS, rtol=1e-4, atol=1e-5)


@MODELS
def test_loss_and_gradients(make: Any, changes: dict[str, Any]) -> None:
    theirs: Any = make(**changes)
    ours, source, target_in = copied(theirs), Padded.of(SOURCES), Padded.of(TARGETS)
    target = Padded.of(rows(3, 13, 2, 5, size=41, seed=2))
    labels_BT = target.ids_BT.masked_fill(~target.mask_BT, -100)
    loss = theirs(**inputs(SOURCES), decoder_input_ids=target_in.ids_BT, labels=labels_BT).loss
    loss.backward()
    _, decoded = ours.read(source, target_in)
    total, count = ours.head.nll(decoded, target)
    (total / count).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(total / count, loss, rtol=1e-5, atol=1e-5)
    table = dict(theirs.named_parameters())["model.shared.weight"].grad
    assert table is not None
    expected = table.clone()
    found = dict(ours.named_parameters())["encoder.embedding.weight"].grad
    assert found is not None
    expected[0] = found[0]  # padding: transformers gives its row no gradient as an input
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
