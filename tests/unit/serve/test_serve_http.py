"""The native interface over HTTP: what it answers, what it refuses, and how."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from isthmus.generate.options import GenerationOptions
from isthmus.serve.keys import Keys
from isthmus.serve.limits import Limits
from tests.unit.serve.running import hooked, running, slowly, tiny

pytestmark = pytest.mark.filterwarnings("ignore::isthmus.generate.answer.GenerationWarning")

KEY = "0123456789abcdef-key"
ENDLESS = {"num_beams": 1, "min_length": 90, "max_length": 90, "guards": False}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with running(tiny(), tiny({"source_language": "fr", "target_language": "en"})) as found:
        yield found


def events(text: str) -> list[tuple[str, Any]]:
    return [(name, json.loads(data)) for name, data in re.findall(r"event: (.*)\ndata: (.*)\n\n", text)]


def test_it_answers_what_the_translator_answers(client: httpx.Client) -> None:
    texts = ["abc. fed", "gg hh", ""]
    options = {"num_beams": 3, "num_return_sequences": 2}
    body = {"texts": texts, "options": options, "alignment": True, "alternatives": 3}
    found = client.post("/v1/generate", json=body)
    assert found.status_code == 200, found.text
    expected = tiny().answers(texts, GenerationOptions.of(options | {"alignment": True}))
    answers = found.json()["answers"]
    assert [[one["text"] for one in each["outputs"]] for each in answers] == [
        [one.text for one in each.hypotheses] for each in expected
    ]
    assert answers[0]["outputs"][0]["score"] == pytest.approx(expected[0].hypotheses[0].score, abs=1e-3)
    assert {name: found.json()[name] for name in ("model", "source_language", "target_language")} == {
        "model": "one",
        "source_language": "en",
        "target_language": "fr",
    }


def test_pieces_stand_where_they_are_in_the_output(client: httpx.Client) -> None:
    body = {"texts": ["abc. fed hg"], "alignment": True, "alternatives": 2, "options": {"split_sentences": True}}
    (output,) = client.post("/v1/generate", json=body).json()["answers"][0]["outputs"]
    text = output["text"]
    parts = output["parts"]
    assert len(parts) == 2
    assert "".join(text[part["start"] : part["end"]] for part in parts).replace(" ", "") == text.replace(" ", "")
    for part in parts:
        spelled = "".join(text[piece["start"] : piece["end"]] for piece in part["pieces"])
        assert spelled == "".join(text[part["start"] : part["end"]].split())
        assert all(len(piece["alternatives"]) == 2 for piece in part["pieces"])
    for pair in output["alignment"]:
        for side, whole in (("source", "abc. fed hg"), ("target", text)):
            assert whole[pair[side]["start"] : pair[side]["end"]] == pair[side]["text"]


def test_a_stream_gives_the_output_as_it_comes(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/stream", json={"text": "fedcba"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        found = events(response.read().decode())
    expected = list(tiny().stream("fedcba"))
    assert "".join(data["text"] for name, data in found if name == "delta") == "".join(one.text for one in expected)
    assert len(found) == len(expected) + 1
    assert found[-1][0] == "done"


def test_what_is_wrong_with_a_stream_has_a_status_before_it_begins(client: httpx.Client) -> None:
    response = client.post("/v1/stream", json={"text": "abc", "options": {"num_beams": 3}})
    assert response.status_code == 422
    assert response.json()["error"]["rule"] == "a stream is one output, by greedy search or sampling"


def test_attention_of_every_layer_and_head(client: httpx.Client) -> None:
    found = client.post("/v1/attention", json={"text": "abc", "output": "fed"}).json()
    assert [one for one in found["source"] if len(one) == 1] == ["a", "b", "c"]
    assert len(found["weights"]) == 2
    for layer in found["weights"]:
        for head in layer:
            assert [len(row) for row in head] == [len(found["source"])] * len(found["target"])
            assert [sum(row) for row in head] == pytest.approx([1.0] * len(head), abs=1e-2)


def test_models_are_chosen_by_name_or_by_language(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert [(one["name"], one["sources"], one["targets"]) for one in listed["models"]] == [
        ("one", ["en"], ["fr"]),
        ("two", ["fr"], ["en"]),
    ]
    assert listed["limits"]["texts"] == 32

    def model(**asked: str) -> str:
        response = client.post("/v1/generate", json={"texts": ["abc"], **asked})
        return str(response.json().get("model", response.status_code))

    assert model() == "one"
    assert model(model="two") == "two"
    assert model(target_language="en") == "two"
    assert model(source_language="en-GB", target_language="fr") == "one"
    assert model(source_language="de", target_language="fr") == "422"
    assert model(model="two", target_language="fr") == "422"
    assert model(model="nobody") == "422"


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "too many texts": ({"texts": ["a"] * 33}, 422, "texts"),
    "too long": ({"texts": ["a" * 5001]}, 422, "characters of a text"),
    "too many beams": ({"texts": ["a"], "options": {"num_beams": 17}}, 422, "num_beams"),
    "too many outputs": (
        {"texts": ["a"], "options": {"do_sample": True, "num_return_sequences": 17}},
        422,
        "num_return_sequences",
    ),
    "contradiction": ({"texts": ["a"], "options": {"temperature": 0.5}}, 422, "contradict each other"),
    "unknown field": ({"texts": ["a"], "beams": 3}, 422, "beams"),
    "unknown option": ({"texts": ["a"], "options": {"num_beam": 3}}, 422, "num_beam"),
    "another type": ({"texts": ["a"], "options": {"num_beams": "3"}}, 422, "num_beams"),
    "too long for the model": ({"texts": ["abcdefgh" * 20]}, 422, "too long for the model"),
    "longer than the model can": ({"texts": ["a"], "options": {"max_length": 5000}}, 422, "more than the model"),
    "no text": ({"texts": []}, 422, "texts"),
    "word that cannot be written": ({"texts": ["a"], "options": {"force_words": ["é"]}}, 422, "cannot be written"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_in_words(client: httpx.Client, name: str) -> None:
    body, status, said = REFUSED[name]
    response = client.post("/v1/generate", json=body)
    assert response.status_code == status
    assert said in json.dumps(response.json()["error"], ensure_ascii=False)


MALFORMED: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 422),
    "half": (b'{"texts": ["a', 400),
    "not utf-8": (b'{"texts": ["\xff"]}', 400),
    "not an object": (b"[1]", 422),
    "deep": (b"[" * 200_000, 400),
    "a huge number": (b'{"texts": ["a"], "alternatives": ' + b"9" * 5000 + b"}", 400),
    "infinity": (b'{"texts": ["a"], "options": {"temperature": Infinity}}', 422),
    "not a number": (b'{"texts": ["a"], "options": {"length_penalty": NaN}}', 422),
    "half a surrogate pair": (b'{"texts": ["\\ud800"]}', 422),
    "half a surrogate pair as a name": (b'{"texts": ["a"], "\\udfff": 1}', 422),
    "half a surrogate pair as a model": (b'{"texts": ["a"], "model": "\\ud800"}', 422),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("path", ["/v1/generate", "/translate", "/v2/translate"])
def test_malformed_bodies_are_errors_of_the_client(client: httpx.Client, name: str, path: str) -> None:
    body, status = MALFORMED[name]
    response = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status if path == "/v1/generate" else response.status_code in (400, 422)
    assert json.loads(response.content)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\u202e abc", "a" + "\u0301" * 4999, "\U0001f600", "\n \t", "\ufffe"])
def test_odd_texts_are_texts(client: httpx.Client, text: str) -> None:
    for path, body in (
        ("/v1/generate", {"texts": [text]}),
        ("/translate", {"q": text, "source": "en", "target": "fr"}),
    ):
        response = client.post(path, json=body)
        assert response.status_code in (200, 422), response.text
        assert "too long for the model" in response.text or response.status_code == 200


def test_a_body_that_is_too_large_is_not_read(client: httpx.Client) -> None:
    marks = {"texts": ["a" + "\u0301" * (1 << 20)]}
    assert client.post("/v1/generate", json=marks).status_code == 413
    pieces = (b"x" * 65536 for _ in range(64))
    assert client.post("/v1/generate", content=pieces).status_code == 413
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
        raw.sendall(b"POST /v1/generate HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_every_answer_is_dressed(client: httpx.Client) -> None:
    for path in ("/", "/app.js", "/healthz", "/nowhere", "/v1/models"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_wrong_paths_and_methods_say_so(client: httpx.Client) -> None:
    assert client.get("/nowhere").json()["error"]["rule"] == "there is nothing at this path"
    wrong = client.get("/v1/generate")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_health_readiness_and_counters(client: httpx.Client) -> None:
    client.post("/v1/generate", json={"texts": ["abc"]})
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}
    text = client.get("/metrics").text
    assert re.search(r'isthmus_requests_total\{path="/v1/generate",status="200"\} [1-9]', text)
    assert re.search(r'isthmus_characters_total\{model="one"\} [1-9]', text)
    assert re.search(r"isthmus_decoding_steps_total [1-9]", text)
    assert "isthmus_requests_in_work 0.0" in text
    client.get("/a-path-that-a-client-made-up")
    assert "made-up" not in client.get("/metrics").text


def test_keys_are_asked_for_where_there_are_some() -> None:
    with running(keys=Keys([KEY, "another-key-of-somebody"])) as client:
        body = {"texts": ["abc"]}
        assert client.post("/v1/generate", json=body).status_code == 401
        assert client.post("/v1/stream", json={"text": "abc"}).status_code == 401
        assert client.get("/v1/models").headers["www-authenticate"] == "Bearer"
        assert client.get("/metrics").status_code == 401
        for wrong in ("Bearer", f"Bearer {KEY}x", f"Basic {KEY}"):
            assert client.post("/v1/generate", json=body, headers={"Authorization": wrong}).status_code == 401
        latin = {b"Authorization": "Bearer \xe9".encode("latin-1")}
        assert client.post("/v1/generate", json=body, headers=latin).status_code == 401
        for right in ({"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}):
            assert client.post("/v1/generate", json=body, headers=right).status_code == 200
        for free in ("/", "/healthz", "/readyz", "/health"):
            assert client.get(free).status_code == 200
        assert "401" in client.get("/openapi.json").json()["paths"]["/v1/generate"]["post"]["responses"]


def test_other_sites_are_let_in_only_by_name() -> None:
    with running(origins=("https://a.example",)) as client:
        for origin, allowed in (("https://a.example", "https://a.example"), ("https://b.example", None)):
            response = client.get("/v1/models", headers={"Origin": origin})
            assert response.headers.get("access-control-allow-origin") == allowed


def test_more_than_the_queue_holds_is_refused_with_a_word_when_to_come_again() -> None:
    machine, engine = hooked(slowly(0.01))
    body = {"texts": ["abc"], "options": ENDLESS}
    with running(machine, limits=Limits(queue=2)) as client, ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(client.post, "/v1/generate", json=body) for _ in range(2)]
        while "isthmus_requests_in_work 2.0" not in client.get("/metrics").text or not engine.steps:
            time.sleep(0.01)
        refused = client.post("/v1/generate", json=body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert client.post("/v1/stream", json={"text": "abc"}).status_code == 503
        assert client.post("/translate", json={"q": "abc", "source": "en", "target": "fr"}).status_code == 503
        assert [one.result().status_code for one in busy] == [200, 200]
        assert client.post("/v1/stream", json={"text": "abc"}).status_code == 200


def test_what_others_made_late_is_to_be_asked_again() -> None:
    machine, _ = hooked(slowly(0.05))
    body = {"texts": ["abc"], "options": ENDLESS}
    with running(machine, limits=Limits(seconds=1.0)) as client, ThreadPoolExecutor(4) as pool:
        found = [one.result() for one in [pool.submit(client.post, "/v1/generate", json=body) for _ in range(4)]]
    assert [one.status_code for one in found].count(503) >= 3
    late = next(one for one in found if one.status_code == 503)
    assert late.headers["retry-after"] == "1"
    assert "too much to do to answer in time" in late.text


def test_a_request_that_takes_too_long_is_stopped() -> None:
    machine, engine = hooked(slowly(0.02))
    with running(machine, limits=Limits(seconds=0.3)) as client:
        response = client.post("/v1/generate", json={"texts": ["abc"], "options": ENDLESS})
        assert (response.status_code, "0.3 seconds" in response.text) == (504, True)
        steps = engine.steps
        time.sleep(0.2)
        assert engine.steps <= steps + 1
        found = events(
            client.post("/v1/stream", json={"text": "abc", "options": {"min_length": 90, "max_length": 90}}).text
        )
        assert found[-1][0] == "error"
        assert found[-1][1]["error"]["rule"] == "the request took longer than a request may"


@pytest.mark.parametrize("path", ["/v1/generate", "/v1/stream"])
def test_decoding_stops_when_the_client_goes(path: str) -> None:
    machine, engine = hooked(slowly(0.02))
    options = {"min_length": 90, "max_length": 90}
    body = {"text": "abc", "options": options} if path == "/v1/stream" else {"texts": ["abc"], "options": ENDLESS}
    with running(machine) as client:
        content = json.dumps(body).encode()
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            raw.sendall(head.encode() + content)
            while engine.steps < 5:
                time.sleep(0.01)
        time.sleep(0.3)
        steps = engine.steps
        assert steps < 60
        time.sleep(0.2)
        assert engine.steps == steps
        assert "isthmus_requests_in_work 0.0" in client.get("/metrics").text


def test_what_goes_wrong_inside_is_not_told_to_clients(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("secret")

    machine, _ = hooked(fail)
    with running(machine) as client:
        response = client.post("/v1/generate", json={"texts": ["abc"]})
    assert response.status_code == 500
    assert "secret" not in response.text
    assert "secret" in caplog.text


def test_files_of_keys_are_read_strictly(tmp_path: Any) -> None:
    from isthmus.core.errors import InputError

    path = tmp_path / "keys"
    path.write_text(f"# mine\n{KEY}\n\n", encoding="utf-8")
    assert Keys.read(path).know(KEY)
    assert not Keys.read(path).know("# mine")
    for content, said in ((b"short\n", "long and goes into a header"), (b"\n", "at least one"), (b"\xff", "UTF-8")):
        path.write_bytes(content)
        with pytest.raises(InputError, match=said):
            Keys.read(path)
    with pytest.raises(InputError, match="does not exist"):
        Keys.read(tmp_path / "gone")
