"""What is counted, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BEAMS: Final = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "isthmus_requests", "Requests by path and status.", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "isthmus_request_seconds", "How long requests took.", ("path",), buckets=_SECONDS, registry=self._registry
        )
        self._open = Gauge("isthmus_requests_in_work", "Requests in work or waiting.", registry=self._registry)
        self._characters = Counter("isthmus_characters", "Characters read.", ("model",), registry=self._registry)
        self._steps = Counter("isthmus_decoding_steps", "Steps of all searches.", registry=self._registry)
        self._beams = Histogram(
            "isthmus_beams_a_step", "Beams that one step decoded together.", buckets=_BEAMS, registry=self._registry
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def work(self, change: int) -> None:
        """A request came into work (1) or left it (-1)."""
        self._open.inc(change)

    def characters(self, model: str, count: int) -> None:
        """So many characters are to be read by a model."""
        self._characters.labels(model).inc(count)

    def step(self, beams: int) -> None:
        """One step of a search was made."""
        self._steps.inc()
        self._beams.observe(beams)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
