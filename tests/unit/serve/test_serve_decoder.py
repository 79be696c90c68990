"""The decoder's thread: answers do not depend on company; clocks, clients and failures are looked after."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus.core.errors import InputError, IsthmusError
from isthmus.generate.options import GenerationOptions
from isthmus.generate.translator import Translator
from isthmus.serve.decoder import Decoder
from isthmus.serve.limits import Limits
from isthmus.serve.metrics import Metrics
from isthmus.serve.remote import RemoteEngine
from isthmus.serve.watch import Expired, Gone, Watch
from tests.unit.serve.running import hooked, slowly, tiny

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")

TEXTS = ("abc", "fedcba hgf", "gg hh ee", "a", "h! fg", "bcdef" * 9, "hgfedcba. abc. d", "")
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"num_beams": 1},
    {"num_beams": 3, "max_length": 5},
    {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.5, "num_return_sequences": 2},
    {"do_sample": True, "seed": 3, "num_return_sequences": 2},
    {"do_sample": True, "seed": 4, "temperature": 0.7},
    {"do_sample": True, "seed": 4, "without_replacement": True, "num_return_sequences": 2, "top_k": 0},
    {"mbr": 4, "seed": 5},
    {"force_words": ["g"]},
    {"prefix": "ab", "alternatives": 2, "alignment": True},
)
LONG = "abcdefgh" * 8
ENDLESS = GenerationOptions.of({"num_beams": 2, "min_length": 90, "max_length": 90, "guards": False})


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    found = Decoder(Limits(rows=40, gather=1.0), Metrics())
    found.start()
    yield found
    found.close()


def through(machine: Translator, decoder: Decoder, watch: Watch) -> Translator:
    remote = RemoteEngine(machine.engine, decoder, watch)
    return machine.through(remote, partial(decoder.search, machine.engine, watch))


def asked(machine: Translator, decoder: Decoder, text: str, options: GenerationOptions, seconds: float = 60) -> Any:
    return through(machine, decoder, Watch(seconds)).answers([text], options)[0]


@pytest.mark.parametrize(
    "kinds", [slice(1, 10, 2), pytest.param(slice(0, 10), marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_answers_to_many_clients_are_those_of_each_alone(decoder: Decoder, kinds: slice) -> None:
    machine = tiny()
    requests = [(text, GenerationOptions.of(way)) for way in WAYS[kinds] for text in TEXTS[kinds]]
    alone = [machine.answers([text], options)[0] for text, options in requests]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(lambda request: asked(machine, decoder, *request), requests))
    for one, other in zip(together, alone, strict=True):
        assert [each.text for each in one.hypotheses] == [each.text for each in other.hypotheses]
        assert [each.stop for each in one.hypotheses] == [each.stop for each in other.hypotheses]
        scores = [each.score for each in other.hypotheses]
        assert [each.score for each in one.hypotheses] == pytest.approx(scores, abs=1e-4)
        pairs = [[(pair.source, pair.target) for pair in each.alignment] for each in other.hypotheses]
        assert [[(pair.source, pair.target) for pair in each.alignment] for each in one.hypotheses] == pairs
        assert one.warnings == other.warnings


def test_clients_who_come_at_once_share_their_steps() -> None:
    seen: list[int] = []

    def look(tokens_BT: Tensor) -> None:
        seen.append(tokens_BT.shape[0])
        time.sleep(0.01)

    machine, engine = hooked(look)
    decoder = Decoder(Limits(gather=50.0), Metrics())
    decoder.start()
    options = GenerationOptions.of({"num_beams": 1, "min_length": 90, "max_length": 90, "guards": False})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: asked(machine, decoder, text, options), ["abc"] * 8))
    decoder.close()
    assert max(seen) > 4
    assert engine.steps < 8 * 90 / 2


def test_who_comes_later_joins_those_under_way(decoder: Decoder) -> None:
    seen: list[int] = []

    def look(tokens_BT: Tensor) -> None:
        seen.append(tokens_BT.shape[0])
        time.sleep(0.01)

    machine, _ = hooked(look)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(asked, machine, decoder, LONG, ENDLESS)
        while len(seen) < 10:
            time.sleep(0.01)
        second = pool.submit(asked, machine, decoder, LONG, ENDLESS)
        assert first.result().text == second.result().text
    assert seen[0] == 1
    assert 4 in seen  # two searches of two beams
    assert seen[-1] == 2  # the second one's last steps


def test_the_clock_stops_a_search_between_two_steps(decoder: Decoder) -> None:
    machine, engine = hooked(slowly(0.02))
    began = time.monotonic()
    with pytest.raises(Expired, match="took longer than a request may"):
        asked(machine, decoder, LONG, ENDLESS, seconds=0.2)
    assert time.monotonic() - began < 1.0
    time.sleep(0.1)
    steps = engine.steps
    time.sleep(0.2)
    assert engine.steps == steps < 60


def test_a_search_stops_when_its_client_goes_and_others_go_on(decoder: Decoder) -> None:
    machine, engine = hooked(slowly(0.005))
    watch = Watch(60)
    with ThreadPoolExecutor(2) as pool:
        leaving = pool.submit(through(machine, decoder, watch).answers, [LONG], ENDLESS)
        staying = pool.submit(asked, machine, decoder, LONG, ENDLESS)
        while engine.steps < 10:
            time.sleep(0.01)
        watch.leave()
        with pytest.raises(Gone):
            leaving.result(timeout=5)
        assert staying.result().text == machine.answers([LONG], ENDLESS)[0].text


def test_a_stream_stops_with_its_client(decoder: Decoder) -> None:
    machine, engine = hooked(slowly(0.005))
    watch = Watch(60)
    deltas = through(machine, decoder, watch).stream(LONG, GenerationOptions.of({"min_length": 90, "max_length": 90}))
    next(deltas)
    watch.leave()
    with pytest.raises(Gone):
        list(deltas)
    steps = engine.steps
    time.sleep(0.1)
    assert engine.steps == steps


def test_a_stream_says_what_it_says_alone(decoder: Decoder) -> None:
    machine = tiny()
    found = "".join(delta.text for delta in through(machine, decoder, Watch(60)).stream("fedcba"))
    assert found == "".join(delta.text for delta in machine.stream("fedcba"))


def test_a_search_that_fails_fails_alone(decoder: Decoder) -> None:
    def fail(tokens_BT: Tensor) -> None:
        if bool((tokens_BT == poison).any()):
            raise RuntimeError("out of luck")

    machine, _ = hooked(fail)
    poison = machine.codec.target.encode("A")[0]
    options = GenerationOptions.of({"num_beams": 1, "guards": False})
    texts = ["abc", "fedcba hgf", "gg hh ee", "a"]
    expected = [tiny().answers([text], options)[0].text for text in texts]
    assert not any("A" in text for text in expected)
    forced = options.updated({"prefix": "AAA"})
    with ThreadPoolExecutor(5) as pool:
        bad = pool.submit(asked, machine, decoder, "gg", forced)
        good = [pool.submit(asked, machine, decoder, text, options) for text in texts]
        assert [one.result().text for one in good] == expected
        with pytest.raises(RuntimeError, match="out of luck"):
            bad.result()
    assert decoder.alive


def test_what_cannot_be_searched_is_an_error_of_its_client(decoder: Decoder) -> None:
    with pytest.raises(InputError, match="maximum length is more than the model can produce"):
        asked(tiny(), decoder, "abc", GenerationOptions.of({"max_length": 1000}))


def test_a_long_order_delays_a_short_one_little(decoder: Decoder) -> None:
    machine, _ = hooked(slowly(0.002))
    done: list[str] = []
    options = GenerationOptions.of({"num_beams": 2, "max_length": 20, "min_length": 20, "guards": False})

    def order(name: str, texts: list[str]) -> None:
        through(machine, decoder, Watch(60)).answers(texts, options)
        done.append(name)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(order, "long", ["abc"] * 80)
        time.sleep(0.05)
        pool.submit(order, "short", ["abc"])
    assert done == ["short", "long"]


def test_closing_tells_those_who_wait() -> None:
    machine, engine = hooked(slowly(0.01))
    decoder = Decoder(Limits(), Metrics())
    decoder.start()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asked, machine, decoder, LONG, ENDLESS)
        while engine.steps < 3:
            time.sleep(0.01)
        decoder.close()
        with pytest.raises(Gone, match="the server is stopping"):
            waiting.result(timeout=5)
    assert not decoder.alive
    with pytest.raises(Gone, match="the server is stopping"):
        asked(machine, decoder, "abc", ENDLESS)


def test_models_work_in_one_thread_with_its_threads_set(decoder: Decoder) -> None:
    names: set[str] = set()
    machine, _ = hooked(lambda _: names.add(threading.current_thread().name))
    asked(machine, decoder, "abc", GenerationOptions.of({"alternatives": 1}))
    list(through(machine, decoder, Watch(60)).stream("abc"))
    assert names == {"decoder"}
    assert torch.get_num_threads() >= 1


def test_a_watch_knows_the_difference_between_late_and_gone() -> None:
    late, gone = Watch(0.0), Watch(60)
    gone.leave()
    for watch, kind in ((late, Expired), (gone, Gone)):
        assert watch.over
        with pytest.raises(kind):
            watch.check()
    assert issubclass(Expired, IsthmusError)
    Watch(60).check()
