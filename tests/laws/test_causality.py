"""Law 4: what comes later never changes what came before, neither as a value nor as a gradient.

B row, T target position, D model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.laws.architectures import TARGET_SIZE, TWO_WAYS, Architecture, agree, architectures, batch

WIDTH = 7


@architectures
@torch.no_grad()
def test_later_tokens_change_nothing_before_them(architecture: Architecture) -> None:
    model, source, target = architecture.model(), batch(5, 3), batch(WIDTH, WIDTH, seed=1)
    expected_BTV = model(source, target)
    for t in range(1, WIDTH):
        changed_BT = target.ids_BT.clone()
        changed_BT[:, t:] = torch.randint(4, TARGET_SIZE, (2, WIDTH - t))
        found_BTV = model(source, type(target)(changed_BT, target.lengths_B))
        agree(found_BTV[:, :t], expected_BTV[:, :t])


@architectures
def test_gradients_flow_from_a_position_to_itself_and_before(architecture: Architecture) -> None:
    """As far back as its segment, where the target is divided; a two-way connection may tell of tokens before that."""
    model, source, target = architecture.model(), batch(5, 3), batch(WIDTH, WIDTH, seed=1)
    embedded: list[Tensor] = []

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        embedded.append(output)

    for module in model.decoder.children():
        if type(module).__name__ == "Embedding":
            module.register_forward_hook(keep)
    _, decoded = model.read(source, target)
    (embedded_BTD,) = embedded
    for t in range(WIDTH):
        (grad_BTD,) = torch.autograd.grad(decoded.features_BTD[:, t].pow(3).sum(), embedded_BTD, retain_graph=True)
        assert bool((grad_BTD[:, t + 1 :] == 0).all())
        first = t - t % (architecture.target_segment or WIDTH)
        assert bool((grad_BTD[:, first : t + 1].abs().amax(dim=-1) > 0).all())
        assert architecture.connection in TWO_WAYS or bool((grad_BTD[:, :first] == 0).all())
