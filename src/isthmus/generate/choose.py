"""What may come next: pure functions from logits to logits.

Each takes logits (or log-probabilities: they differ by a constant) with the vocabulary on the last axis and gives the
same shape back, `-inf` where a piece is ruled out. Each equals the processor of Hugging Face transformers named in its
docstring, element by element. V vocabulary.
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


def suppress(logits: Tensor, ids: Tensor) -> Tensor:
    """Rule out the given ids (`SuppressTokensLogitsProcessor`)."""
    return logits.index_fill(-1, ids, NEVER)


def suppress_where(logits: Tensor, where: Tensor, id: int) -> Tensor:
    """Rule out one id in the rows where `where` is true (`MinNewTokensLengthLogitsProcessor` with the end piece).

    Args:
        logits: [..., V].
        where: bool, broadcast against the axes of `logits` before the last.
        id: the piece.
    """
    column = logits[..., id].masked_fill(where, NEVER)
    return logits.index_copy(-1, torch.tensor([id], device=logits.device), column.unsqueeze(-1))


def force(logits: Tensor, ids: Tensor) -> Tensor:
    """Allow one piece only, at no cost, where `ids` names one (`ForcedBOSTokenLogitsProcessor`).

    Args:
        logits: [..., V].
        ids: int64, broadcast against the axes of `logits` before the last; -1 leaves a row as it is.
    """
    forced = torch.full_like(logits, NEVER)
    ids = ids.expand(logits.shape[:-1]).unsqueeze(-1)
    forced.scatter_(-1, ids.clamp(min=0), 0.0)
    return torch.where(ids >= 0, forced, logits)
