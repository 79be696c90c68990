"""The pointer-generator: against its equation in float64, by chunks and whole, and what is refused.

B row, T target position, S source position, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from isthmus.core.errors import ConfigError, StateError
from isthmus.core.padded import Padded
from isthmus.core.runtime import seeded
from isthmus.model.build import ModelConfig, build
from isthmus.model.connections.connection import Reading
from isthmus.model.connections.copying import Copying
from isthmus.model.decoders.decoder import Decoded
from isthmus.model.encoder_decoder import EncoderDecoder
from isthmus.model.heads import pointer_generator
from isthmus.model.heads.pointer_generator import PointerGeneratorHead
from isthmus.model.memory import Memory

B, T, S, V, D, C = 2, 5, 7, 11, 3, 13
IDS_BS = torch.tensor([[4, 9, 4, 4, 2, 10, 0], [5, 6, 3, 0, 0, 0, 0]])
TARGET = Padded.of([[4, 9, 3, 8, 7], [6, 6]])


def head_and_decoded(
    empty: bool = False, chunk_type: torch.dtype = torch.float64
) -> tuple[PointerGeneratorHead, Decoded]:
    with seeded(4):
        head = PointerGeneratorHead(nn.Parameter(torch.randn(V, D)), C, scale=0.7).to(chunk_type)
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.add_(torch.randn_like(parameter))
        copy_BTS = torch.rand(B, T, S, dtype=chunk_type) * (IDS_BS > 0)[:, None]
        copy_BTS = copy_BTS / copy_BTS.sum(dim=-1, keepdim=True) * (0 if empty else 1)
        features_BTD, context_BTC = torch.randn(B, T, D, dtype=chunk_type), torch.randn(B, T, C, dtype=chunk_type)
    return head, Decoded(features_BTD, (Reading(context_BTC, None, copy_BTS, IDS_BS),))


def naive(head: PointerGeneratorHead, decoded: Decoded) -> Tensor:
    """The equation, number by number."""
    last = decoded.readings[-1]
    assert last.copy_BTS is not None
    assert head.bias is not None
    found = torch.zeros(B, T, V, dtype=torch.float64)
    for b in range(B):
        for t in range(T):
            h, c = decoded.features_BTD[b, t].double(), last.context_BTD[b, t].double()
            words = torch.softmax(head.weight.double() @ (0.7 * h) + head.bias.double(), dim=0)
            gate = torch.sigmoid(head.gate.weight[0].double() @ torch.cat([h, c]) + head.gate.bias[0].double())
            for v in range(V):
                copied = sum(last.copy_BTS[b, t, s] for s in range(S) if IDS_BS[b, s] == v)
                found[b, t, v] = gate * words[v] + (1 - gate) * copied
    return found


@torch.no_grad()
def test_the_mixture_is_what_its_equation_says() -> None:
    head, decoded = head_and_decoded()
    expected = naive(head, decoded)
    torch.testing.assert_close(expected.sum(dim=-1), torch.ones(B, T, dtype=torch.float64))
    torch.testing.assert_close(head.log_probs(decoded).double().exp(), expected, rtol=1e-5, atol=1e-7)
    among = torch.tensor([9, 1, 4])
    shares = expected[:, :, among] / expected[:, :, among].sum(dim=-1, keepdim=True)
    torch.testing.assert_close(head.log_probs(decoded, among).double().exp(), shares, rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_where_nothing_can_be_copied_all_is_generated() -> None:
    head, decoded = head_and_decoded(empty=True)
    assert head.bias is not None
    words = torch.softmax(0.7 * decoded.features_BTD @ head.weight.T + head.bias, dim=-1)
    torch.testing.assert_close(head.log_probs(decoded).double().exp(), words, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_by_chunks_is_the_loss_at_once(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its gradients; a chunk of three cuts both rows."""
    monkeypatch.setattr(pointer_generator, "CHUNK", 3)
    found = []
    for by_chunks in (True, False):
        head, decoded = head_and_decoded(chunk_type=torch.float32)
        copy_BTS = decoded.readings[0].copy_BTS
        assert copy_BTS is not None
        inputs = [decoded.features_BTD.requires_grad_(), copy_BTS.requires_grad_()]
        weight_B = torch.tensor([0.5, 2.0])
        if by_chunks:
            total, count = head.nll(decoded, TARGET, smoothing, weight_B)
            assert count == 0.5 * 5 + 2.0 * 2
        else:
            log_probs_BTV = head.log_probs(decoded)
            nll_BT = -log_probs_BTV.gather(2, Padded.of(TARGET.rows()).ids_BT[..., None])[..., 0]
            loss_BT = (1 - smoothing) * nll_BT - smoothing * log_probs_BTV.mean(dim=-1)
            total = (loss_BT * TARGET.mask_BT * weight_B[:, None]).sum()
        found.append([total, *torch.autograd.grad(total, [*inputs, *head.parameters()])])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_two_predictions_lose_by_how_far_they_lie_apart(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointer_generator, "CHUNK", 3)
    head, decoded = head_and_decoded()
    pair = decoded, Decoded(decoded.features_BTD.flip(1), decoded.readings)
    weight_B = torch.tensor([0.5, 2.0])
    p, q = (naive(head, each) for each in pair)
    apart_BT = ((p - q) * (p.log() - q.log())).sum(dim=-1) / 2
    apart = float((apart_BT * TARGET.mask_BT * weight_B[:, None]).sum().detach())
    (p_nll, count), (q_nll, _) = (head.nll(each, TARGET, smoothing, weight_B) for each in pair)
    total, found_count = head.r_drop(pair, TARGET, 3.0, smoothing, weight_B)
    assert apart > 0.1
    assert float(total.detach()) == pytest.approx(float(p_nll.detach() + q_nll.detach()) / 2 + 3 / 2 * apart, rel=1e-4)
    assert found_count == count


def table(**more: Any) -> dict[str, Any]:
    read = {"kind": "multi-head-attention", "heads": 2}
    layer = {"heads": 2, "feed_forward": 19}
    return {
        "d_model": 14,
        "embedding": {"tied": "none"},
        "encoder": {"layers": 1, "layer": layer},
        "connection": {"kind": "copying", "read": read},
        "decoder": {"layers": 2, "layer": layer},
        "head": {"kind": "pointer-generator"},
        **more,
    }


def model(**more: Any) -> EncoderDecoder:
    with seeded(1):
        return build(ModelConfig.of(table(**more)), 17, 17).eval()


@torch.no_grad()
def test_what_is_copied_stands_in_the_source() -> None:
    """With the gate shut, nothing but pieces of the source can come, each as often as it is read."""
    one, source = model(), Padded.of([[5, 9, 9, 3], [7, 3]])
    one.head.get_parameter("gate.bias").fill_(-60.0)
    _, decoded = one.read(source, Padded.of([[2, 9], [2, 7]]), weights=True)
    probabilities = one.head.log_probs(decoded).exp()
    weights_BHTS = decoded.readings[-1].weights_BHTS
    assert weights_BHTS is not None
    read_BTS = weights_BHTS.mean(dim=1)
    torch.testing.assert_close(probabilities[0, :, 9], read_BTS[0, :, 1] + read_BTS[0, :, 2])
    torch.testing.assert_close(probabilities[1][:, [7, 3]].sum(dim=-1), torch.ones(2))
    assert float(probabilities[1][:, 5].max()) < 1e-12


@pytest.mark.parametrize(
    ("sizes", "more", "said"),
    [
        ((17, 19), {}, "one vocabulary"),
        ((17, 17), {"connection": {"kind": "global-attention"}}, "what its connection offers"),
    ],
)
def test_what_does_not_fit_is_refused(sizes: tuple[int, int], more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(ModelConfig.of(table(**more)), *sizes)


def test_a_memory_without_ids_and_a_reading_without_an_offer_are_refused() -> None:
    one = model()
    connection = one.decoder.get_submodule("layers.0.connection")
    assert isinstance(connection, Copying)
    memory = one.encode(Padded.of([[5, 3]]))
    with pytest.raises(StateError, match="ids of the source"):
        connection.prepare(Memory(memory.states_BSD, memory.mask_BS))
    with pytest.raises(StateError, match="copies what its connection offers"):
        one.head.log_probs(Decoded(torch.zeros(1, 1, 14), (Reading(torch.zeros(1, 1, 14)),)))


def test_the_preset_is_what_its_paper_says() -> None:
    config = ModelConfig.preset("pointer-generator")
    assert config.encoder.kind == config.decoder.kind == "recurrent"
    assert (config.encoder.cell, config.encoder.layers, config.encoder.bidirectional) == ("lstm", 1, True)
    assert (config.decoder.order, config.decoder.input_feeding) == ("luong", True)
    assert config.connection.read.similarity == "additive"  # type: ignore[union-attr]
    covered = ModelConfig.of({"preset": "pointer-generator", "connection": {"read": {"kind": "coverage"}}})
    assert covered.connection.read.kind == "coverage"  # type: ignore[union-attr]
