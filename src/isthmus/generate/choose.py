"""What may come next: pure functions from logits to logits.

Each takes logits (or log-probabilities: they differ by a constant) with the vocabulary on the last axis and gives the
same shape back, `-inf` where a piece is ruled out. Each equals the processor of Hugging Face transformers named in its
docstring, element by element.

First what depends on the logits alone, then what depends on a place, last what depends on the pieces so far: int64
[..., T] with the axes of the logits before the last; -1, before all others, where there is none.

V vocabulary, T pieces so far, S source, W phrases, L their length.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEVER = float("-inf")


def temperature(logits: Tensor, value: float) -> Tensor:
    """Divide by a temperature: under 1 sharper, above 1 flatter (`TemperatureLogitsWarper`)."""
    return logits / value


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k best, and those exactly as good as the k-th (`TopKLogitsWarper`); k = 0 keeps all.

    Fan et al. 2018, Hierarchical Neural Story Generation, section 5.4.
    """
    if k == 0 or k >= logits.shape[-1]:
        return logits
    worst = torch.topk(logits, k).values[..., -1:]
    return logits.masked_fill(logits < worst, NEVER)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of best pieces whose probabilities sum to p or more (`TopPLogitsWarper`).

    Holtzman et al. 2020, The Curious Case of Neural Text Degeneration, section 3.1.
    """
    if p >= 1.0:
        return logits
    ascending, index = torch.sort(logits, descending=False)
    drop = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - p
    drop[..., -1:] = False
    return logits.masked_fill(drop.scatter(-1, index, drop), NEVER)


def min_p(logits: Tensor, p: float) -> Tensor:
    """Keep what is at least p times as probable as the best (`MinPLogitsWarper`).

    Nguyen et al. 2024, Turning Up the Heat: Min-p Sampling, section 3.
    """
    if p == 0.0:
        return logits
    probability = logits.softmax(dim=-1)
    return logits.masked_fill(probability < p * probability.amax(dim=-1, keepdim=True), NEVER)


def typical(logits: Tensor, p: float) -> Tensor:
    """Keep the pieces about as surprising as is to be expected, until they sum to p or more (`TypicalLogitsWarper`).

    The surprise of a piece is -log q, what is to be expected of it is the entropy; the nearest come first. Meister et
    al. 2023, Locally Typical Sampling.
    """
    if p >= 1.0:
        return logits
    distance = (-logits.log_softmax(dim=-1) - _entropy(logits)).abs()
    nearest, index = torch.sort(distance, descending=False)
    enough = logits.gather(-1, index).softmax(dim=-1).cumsum(dim=-1) >= p
    last = (~enough).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return logits.masked_fill(distance > nearest.gather(-1, last), NEVER)


def epsilon(logits: Tensor, cutoff: float) -> Tensor:
    """Keep what is at least as probable as a cut-off, and always the best (`EpsilonLogitsWarper`); 0 keeps all.

    Hewitt et al. 2022, Truncation Sampling as Language Model Desmoothing.
    """
    return _not_under(logits, torch.full_like(logits[..., :1], cutoff))


def eta(logits: Tensor, cutoff: float) -> Tensor:
    """Epsilon sampling whose cut-off falls where many pieces are probable (`EtaLogitsWarper`); 0 keeps all.

    It is min(e, sqrt(e) exp(-entropy)) for a cut-off e. Hewitt et al. 2022, as `epsilon`.
    """
    flat = cutoff**0.5 * torch.exp(-_entropy(logits))
    return _not_under(logits, flat.clamp(max=cutoff))


def suppress(logits: Tensor, ids: Tensor) -> Tensor:
    """Rule out the given ids (`SuppressTokensLogitsProcessor`)."""
    return suppress_(logits.clone(), ids)


def suppress_(logits: Tensor, ids: Tensor) -> Tensor:
    """The same in place."""
    return logits.index_fill_(-1, ids, NEVER)


def suppress_where(logits: Tensor, where: Tensor, id: int) -> Tensor:
    """Rule out one id in the rows where `where` is true (`MinNewTokensLengthLogitsProcessor` with the end piece).

    Args:
        logits: [..., V].
        where: bool, broadcast against the axes of `logits` before the last.
        id: the piece.
    """
    return suppress_where_(logits.clone(), where, id)


def suppress_where_(logits: Tensor, where: Tensor, id: int) -> Tensor:
    """The same in place."""
    logits[..., id].masked_fill_(where, NEVER)
    return logits


def force(logits: Tensor, ids: Tensor) -> Tensor:
    """Allow one piece only, at no cost, where `ids` names one (`ForcedBOS-` and `ForcedEOSTokenLogitsProcessor`).

    Args:
        logits: [..., V].
        ids: int64, broadcast against the axes of `logits` before the last; -1 leaves a row as it is.
    """
    forced = torch.full_like(logits, NEVER)
    ids = ids.expand(logits.shape[:-1]).unsqueeze(-1)
    forced.scatter_(-1, ids.clamp(min=0), 0.0)
    return torch.where(ids >= 0, forced, logits)


def repetition_penalty(logits: Tensor, so_far: Tensor, penalty: float) -> Tensor:
    """Make pieces that were produced less likely, or with a penalty under 1 likelier (`RepetitionPenaltyLogitsProcessor`).

    A negative logit is multiplied by the penalty and a positive one divided by it, so that here, unlike elsewhere,
    logits and log-probabilities differ. Keskar et al. 2019, CTRL, section 4.1.
    """
    if so_far.shape[-1] == 0:
        return logits
    so_far = so_far.where(so_far >= 0, so_far[..., -1:])  # once more the last, if there is one, where there is none
    ids = so_far.clamp(min=0)
    old = logits.gather(-1, ids)
    penalised = torch.where(old < 0, old * penalty, old / penalty)
    return logits.scatter(-1, ids, penalised.where(so_far >= 0, old))


def no_repeat_ngram(logits: Tensor, so_far: Tensor, size: int) -> Tensor:
    """Produce no n-gram a second time (`NoRepeatNGramLogitsProcessor`).

    Paulus et al. 2018, A Deep Reinforced Model for Abstractive Summarization, section 2.5.
    """
    return no_copied_ngram(logits, so_far, so_far, size)


def no_copied_ngram(logits: Tensor, so_far: Tensor, source: Tensor, size: int) -> Tensor:
    """Produce no n-gram that the source has (`EncoderNoRepeatNGramLogitsProcessor`).

    Args:
        logits: [..., V].
        so_far: [..., T].
        source: int64 [..., S], broadcast against the other axes of `so_far`; -1, behind all others, where there is none.
        size: n.
    """
    if source.shape[-1] < size:
        return logits
    return no_phrase(logits, so_far, source.unfold(-1, size, 1))


def no_phrase(logits: Tensor, so_far: Tensor, phrases: Tensor) -> Tensor:
    """Complete none of the given phrases (`NoBadWordsLogitsProcessor`).

    Args:
        logits: [..., V].
        so_far: [..., T].
        phrases: int64 [..., W, L], broadcast against the other axes of `so_far`; one that ends in -1 is none.
    """
    begun = phrases.shape[-1] - 1
    if so_far.shape[-1] < begun:
        return logits
    latest = so_far[..., so_far.shape[-1] - begun :].unsqueeze(-2)
    completing = phrases[..., -1].where((phrases[..., :-1] == latest).all(dim=-1), -1)
    least = torch.where(completing >= 0, NEVER, -NEVER).to(logits)
    return logits.scatter_reduce(-1, completing.clamp(min=0), least, "amin")


def _entropy(logits: Tensor) -> Tensor:
    """In nats [..., 1]; what is ruled out adds nothing."""
    log_prob = logits.log_softmax(dim=-1)
    return -(log_prob * log_prob.exp()).nansum(dim=-1, keepdim=True)


def _not_under(logits: Tensor, least: Tensor) -> Tensor:
    """Keep what has at least the probability `least` [..., 1], and the best."""
    improbable = (logits.softmax(dim=-1) < least) & (logits < logits.amax(dim=-1, keepdim=True))
    return logits.masked_fill(improbable, NEVER)
