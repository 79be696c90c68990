"""What training makes small: an objective gives the sum of the loss over a batch and the number that it is to be divided by.

Sums, not means: the trainer divides once by the count over all micro-batches (and processes), so that n accumulated micro-batches are
exactly one batch, however the tokens fall on them.

B batch, T target position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, assert_never

import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from isthmus.core.config import Config
from isthmus.core.padded import Padded

if TYPE_CHECKING:
    from isthmus.data.batches import Batch
    from isthmus.model.encoder_decoder import EncoderDecoder


class CrossEntropyConfig(Config):
    """Configuration of plain teacher forcing."""

    kind: Literal["cross-entropy"] = "cross-entropy"


class RDropConfig(Config):
    """Configuration of regularised dropout.

    Attributes:
        kind: names the objective.
        strength: α, how much the two predictions' distance counts; the paper has 5 for translation.
    """

    kind: Literal["r-drop"] = "r-drop"
    strength: PositiveFloat = 5.0


class ScheduledSamplingConfig(Config):
    """Configuration of scheduled sampling.

    Attributes:
        kind: names the objective.
        share: how many target pieces in the decoder's input are its own predictions at the end of training; the share grows
            linearly from 0.
    """

    kind: Literal["scheduled-sampling"] = "scheduled-sampling"
    share: Annotated[float, Field(gt=0, le=1)] = 0.25


class SegmentsConfig(Config):
    """Configuration of training segment by segment.

    Attributes:
        kind: names the objective.
        length: target positions of a segment.
    """

    kind: Literal["segments"] = "segments"
    length: Annotated[int, Field(ge=1)] = 128


ObjectiveConfig = Annotated[
    CrossEntropyConfig | RDropConfig | ScheduledSamplingConfig | SegmentsConfig, Field(discriminator="kind")
]


class Objective(Protocol):
    """(model, batch, progress) -> (sum of the loss, count), both float32 scalars; the sum carries the gradient."""

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:
        """Read the batch with the model and sum its loss; `progress` is the share of training that is done."""
        ...


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Teacher forcing: each target token is predicted from the true ones before it (Williams and Zipser 1989).

    Attributes:
        label_smoothing: ε, the share of the target distribution that is spread over the vocabulary (Szegedy et al. 2016, section 7).
        prior_V: over which distribution, in float32 on the model's device; `None` is over all alike.
    """

    label_smoothing: float = 0.0
    prior_V: Tensor | None = None

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Sum the cross-entropy over the real target tokens, each times the weight of its example; count the weights."""
        _, decoded = model.read(batch.source, batch.target_in)
        total: tuple[Tensor, Tensor] = model.head.nll(
            decoded, batch.target, self.label_smoothing, batch.weight_B, self.prior_V
        )
        return total


@dataclass(frozen=True, slots=True)
class RDrop:
    """Cross-entropy of two passes with different dropout, and how far they lie apart (Liang et al. 2021, section 2.1).

    ½ [nll(p) + nll(q)] + α/2 · ½ [KL(p ‖ q) + KL(q ‖ p)]: half of the paper's equation 4, which counts each token twice.

    Attributes:
        label_smoothing: of the cross-entropy.
        strength: α.
        prior_V: of the cross-entropy.
    """

    label_smoothing: float = 0.0
    strength: float = 5.0
    prior_V: Tensor | None = None

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Read every example twice, in one batch of twice as many rows."""
        rows = batch.index_B.shape[0]
        twice_B = torch.arange(rows, device=batch.index_B.device).repeat(2)
        _, decoded = model.read(batch.source.select(twice_B), batch.target_in.select(twice_B))
        pair = decoded.select(twice_B[:rows]), decoded.select(twice_B[:rows] + rows)
        total: tuple[Tensor, Tensor] = model.head.r_drop(
            pair, batch.target, self.strength, self.label_smoothing, batch.weight_B, self.prior_V
        )
        return total


@dataclass(frozen=True, slots=True)
class ScheduledSampling:
    """Teacher forcing in two passes: the second reads some of the first's predictions in place of the true tokens.

    Mihaylova and Martins 2019, section 3 (Bengio et al. 2015 for recurrent models). The first pass is not trained.

    Attributes:
        label_smoothing: of the cross-entropy.
        share: of own predictions at the end of training.
        prior_V: of the cross-entropy.
    """

    label_smoothing: float = 0.0
    share: float = 0.25
    prior_V: Tensor | None = None

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:
        """Encode once, predict, mix, and read the mixture."""
        memory = model.encode(batch.source)
        with torch.no_grad():
            decoded, _ = model.step(batch.target_in.ids_BT, model.start(memory, remember=False))
            said_BT = torch.cat([log_p_BTV.argmax(dim=-1) for _, log_p_BTV in model.head.log_probs_by_rows(decoded)])
        own_BT = batch.target_in.ids_BT.clone()
        own_BT[:, 1:] = said_BT[:, :-1]
        own_BT = torch.where(batch.target_in.mask_BT, own_BT, batch.target_in.ids_BT)
        chosen_BT = torch.rand(own_BT.shape, device=own_BT.device) < self.share * progress
        mixed = Padded(torch.where(chosen_BT, own_BT, batch.target_in.ids_BT), batch.target_in.lengths_B)
        decoded, _ = model.step(mixed.ids_BT, model.start(memory, remember=False))
        total: tuple[Tensor, Tensor] = model.head.nll(
            decoded, batch.target, self.label_smoothing, batch.weight_B, self.prior_V
        )
        return total


@dataclass(frozen=True, slots=True)
class InSegments:
    """Cross-entropy of long targets read a segment at a time, the decoder's state carried over, its gradients stopped.

    Whatever a decoder remembers (Dai et al. 2019, section 3.2, for self-attention; truncated back-propagation through time, Williams
    and Peng 1990, for recurrent layers). The loss is that of the whole target; only the way of its gradients is shorter.

    Attributes:
        label_smoothing: of the cross-entropy.
        length: target positions of a segment.
        prior_V: of the cross-entropy.
    """

    label_smoothing: float = 0.0
    length: int = 128
    prior_V: Tensor | None = None

    def __call__(self, model: EncoderDecoder, batch: Batch, progress: float = 0.0) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Encode once, then go from segment to segment."""
        state = model.start(model.encode(batch.source))
        total = count = batch.weight_B.new_zeros(())
        for start in range(0, batch.target.ids_BT.shape[1], self.length):
            part_BT = batch.target.ids_BT[:, start : start + self.length]
            lengths_B = (batch.target.lengths_B - start).clamp(0, part_BT.shape[1])
            state = state.detached() if start else state
            decoded, state = model.step(batch.target_in.ids_BT[:, start : start + self.length], state)
            nll, number = model.head.nll(
                decoded, Padded(part_BT, lengths_B), self.label_smoothing, batch.weight_B, self.prior_V
            )
            total, count = total + nll, count + number
        return total, count


def build_objective(config: ObjectiveConfig, label_smoothing: float, prior_V: Tensor | None = None) -> Objective:
    """The objective of a configuration.

    Args:
        config: which one.
        label_smoothing: ε of its cross-entropy.
        prior_V: what ε is spread over, on the model's device; `None` is over all alike.
    """
    match config:
        case CrossEntropyConfig():
            return CrossEntropy(label_smoothing, prior_V)
        case RDropConfig(strength=strength):
            return RDrop(label_smoothing, strength, prior_V)
        case ScheduledSamplingConfig(share=share):
            return ScheduledSampling(label_smoothing, share, prior_V)
        case SegmentsConfig(length=length):
            return InSegments(label_smoothing, length, prior_V)
        case _:
            assert_never(config)
