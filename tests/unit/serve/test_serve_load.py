"""Many clients at once get what each would get alone; who is too many is told so."""

from __future__ import annotations

import asyncio
import re

import pytest

from benchmarks.serving import Load, alone, texts_of
from isthmus.serve.limits import Limits
from tests.unit.serve.running import hooked, running, slowly, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning"),
]


COUNTERS = ("isthmus_beams_a_step_sum", "isthmus_decoding_steps_total")


def test_a_thousand_requests_together_are_answered_as_alone() -> None:
    expected = alone(tiny(), texts_of())
    with running(tiny(), limits=Limits(seconds=600.0)) as client:
        tally, _ = asyncio.run(Load(client.base_url.port or 0, expected).waiting(1000, 64))
        counters = client.get("/metrics").text
    assert (tally.wrong, dict(tally.statuses)) == ([], {200: 1000})
    beams, steps = (float(re.findall(rf"^{name} (.*)$", counters, re.M)[0]) for name in COUNTERS)
    assert beams / steps > 10


def test_more_than_it_can_do_is_refused_and_the_rest_is_right() -> None:
    machine, _ = hooked(slowly(0.01))
    expected = alone(tiny(), texts_of()[:20])
    with running(machine, limits=Limits(queue=8)) as client:
        tally, _ = asyncio.run(Load(client.base_url.port or 0, expected).waiting(150, 40))
    assert tally.wrong == []
    assert set(tally.statuses) == {200, 503}
