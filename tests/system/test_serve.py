"""`isthmus serve` as a process: it starts, answers, and finishes what is in work when it is stopped."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.system.command import started
from tests.unit.generate.tiny_bundle import tiny_bundle

pytestmark = [pytest.mark.slow]


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """The command, and a client of it; a test that fails leaves no process behind."""
    process = started(["serve", *options, "--port", "0", "--threads", "1"], folder)
    try:
        address, said = "", []
        while not address and process.stderr is not None:
            line = process.stderr.readline().decode()
            said.append(line)
            found = re.search(r"serving .* at (http://\S+)", line)
            address = found.group(1) if found else ""
            if not line:
                raise AssertionError("".join(said))
        with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("serve")
    tiny_bundle({"source_language": "en", "target_language": "fr"}).save(place / "one")
    tiny_bundle({"source_language": "fr", "target_language": "en"}).save(place / "run" / "best")
    (place / "keys").write_text("0123456789abcdef0123\n", encoding="utf-8")
    return place


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_work_is_finished_when_the_server_is_stopped(folder: Path, number: signal.Signals) -> None:
    body = {"texts": ["abcdefgh " * 8] * 32, "options": {"num_beams": 8, "guards": False, "min_length": 80}}
    answers: list[httpx.Response] = []
    with serving(folder, "one") as (process, client):
        thread = threading.Thread(target=lambda: answers.append(client.post("/v1/generate", json=body)))
        thread.start()
        while "isthmus_requests_in_work 1.0" not in httpx.get(f"{client.base_url}/metrics", trust_env=False).text:
            assert not answers
        process.send_signal(number)
        thread.join()
        assert process.wait(timeout=60) == 0
    assert answers[0].status_code == 200
    assert len(answers[0].json()["answers"]) == 32


def test_models_have_the_names_of_their_folders_or_those_given(folder: Path) -> None:
    keys = {"Authorization": "Bearer 0123456789abcdef0123"}
    with serving(folder, "one", "run", "again=run/best", "--api-keys", "keys", "--max-texts", "2") as (_, client):
        assert client.get("/v1/models").status_code == 401
        listed = client.get("/v1/models", headers=keys).json()
        assert [(one["name"], one["targets"]) for one in listed["models"]] == [
            ("one", ["fr"]),
            ("run", ["en"]),
            ("again", ["en"]),
        ]
        assert listed["limits"]["texts"] == 2
        assert client.get("/readyz").json() == {"status": "ok"}


def test_a_port_that_is_taken_is_one_clear_error(folder: Path) -> None:
    with serving(folder, "one") as (_, client):
        port = str(client.base_url.port)
        second = started(["serve", "one", "--threads", "1", "--port", port], folder)
        _, said = second.communicate(timeout=60)
    assert second.returncode == 2
    assert said.decode().startswith("error: the server cannot listen here")
    assert "Traceback" not in said.decode()
