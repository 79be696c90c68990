"""Requests made up from a server's own description (OpenAPI), valid and not: none may end in an error of the server.

    python -m benchmarks.fuzzing [--cases 5000]

It starts a server of a tiny random model on 127.0.0.1, unless --address names one.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import schemathesis
from hypothesis import HealthCheck
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance


@dataclass(slots=True)
class Tally:
    """What came of the requests."""

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def fuzz(address: str, most: int, seed: int) -> Tally:
    """Send up to `most` requests of each kind to each route, and hold the answers against the description."""
    tally = Tally()
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json", headers={"Connection": "close"})
    schema.config.base_url = address
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    for result in schema.get_all_operations():
        if not isinstance(result, Ok):
            tally.failures.append(f"a route is described wrongly: {result.err()}")
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _fuzz_one(result.ok(), mode, tally, most, seed)
    return tally


def _fuzz_one(operation: Any, mode: GenerationMode, tally: Tally, most: int, seed: int) -> None:
    """Requests of one kind to one route; what is well-formed may still be refused (422), for options can contradict each other."""
    settings = hypothesis.settings(
        max_examples=most, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
    )

    @hypothesis.seed(seed)
    @settings
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        response = case.call(timeout=60)
        tally.cases += 1
        tally.statuses[response.status_code] += 1
        try:
            case.validate_response(response, excluded_checks=[positive_data_acceptance])
        except (Failure, FailureGroup) as failure:
            tally.failures.append(f"{operation.label} ({mode.value}): {failure}")
        if response.status_code >= 500:
            tally.failures.append(f"{operation.label}: {response.status_code} {response.text[:300]}")

    with suppress(hypothesis.errors.Unsatisfiable, ValueError):  # a route without parameters has no forbidden requests
        send()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000, help="at least so many")
    parser.add_argument("--address", default="", help="of a server that runs")
    given = parser.parse_args(arguments)
    began, tally, round_ = time.perf_counter(), Tally(), 0
    from tests.unit.serve.running import running, tiny

    with running(tiny(), tiny({"source_language": "fr", "target_language": "en"})) as client:
        address = given.address or str(client.base_url)
        while tally.cases < given.cases and not tally.failures:
            round_ += 1
            more = fuzz(address, most=100, seed=round_)
            tally.cases += more.cases
            tally.statuses += more.statuses
            tally.failures += more.failures
    print(
        f"{tally.cases:,} requests in {time.perf_counter() - began:.0f} s; statuses: {dict(sorted(tally.statuses.items()))}"
    )
    print(f"{len(tally.failures)} failures", *tally.failures[:20], sep="\n")
    raise SystemExit(1 if tally.failures else 0)


if __name__ == "__main__":
    main()
