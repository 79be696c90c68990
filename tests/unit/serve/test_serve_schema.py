"""The description of the interface and the server agree, whatever a client sends: cases made up from the description."""

from __future__ import annotations

import httpx
import pytest

from benchmarks.fuzzing import fuzz
from tests.unit.serve.running import running, tiny


def test_the_description_names_every_route_and_its_errors() -> None:
    with running() as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        *("/v1/models", "/v1/generate", "/v1/stream", "/v1/attention"),
        *("/translate", "/detect", "/languages", "/health"),
        *("/v2/translate", "/v2/languages", "/v2/usage"),
    }
    assert {"200", "400", "413", "422", "503", "504"} <= set(paths["/v1/generate"]["post"]["responses"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_request_that_the_description_allows_or_forbids_breaks_the_server() -> None:
    with running(tiny(), tiny({"source_language": "fr", "target_language": "en"})) as client:
        tally = fuzz(str(client.base_url), most=25, seed=1)
        assert httpx.get(f"{client.base_url}/healthz", trust_env=False).status_code == 200
    assert tally.cases >= 200
    assert tally.failures == []
