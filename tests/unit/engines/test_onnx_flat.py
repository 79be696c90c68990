"""States as lists of tensors: what has no such form is refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.engines.onnx.graphs import example
from isthmus.model.build import ModelConfig, build

READ = {"kind": "multi-head-attention", "heads": 2}


@pytest.mark.parametrize(
    "connection", [{"kind": "slots", "count": 3, "heads": 2, "read": READ}, {"kind": "copying", "read": READ}]
)
def test_links_that_hold_links_or_ids_are_refused(connection: dict[str, Any]) -> None:
    layer = {"heads": 2, "feed_forward": 19}
    part = {"layers": 1, "layer": layer}
    model = build(ModelConfig.of({"d_model": 14, "encoder": part, "decoder": part, "connection": connection}), 17, 17)
    with pytest.raises(InputError, match="made of others") as caught:
        example(model.eval(), 2, 3, 5)
    assert caught.value.where == "model.connection"
