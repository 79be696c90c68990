"""The page, and what watches the server."""

from __future__ import annotations

from importlib.resources import files
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from isthmus.serve.keys import Keys
from isthmus.serve.metrics import CONTENT_TYPE
from isthmus.serve.service import Service

FILES: Final = MappingProxyType(
    {
        "/": ("index.html", "text/html; charset=utf-8"),
        "/app.js": ("app.js", "text/javascript; charset=utf-8"),
        "/api.js": ("api.js", "text/javascript; charset=utf-8"),
        "/files.js": ("files.js", "text/javascript; charset=utf-8"),
        "/view.js": ("view.js", "text/javascript; charset=utf-8"),
        "/app.css": ("app.css", "text/css; charset=utf-8"),
        "/icon.svg": ("icon.svg", "image/svg+xml"),
    }
)


class Pages:
    """The routes.

    Args:
        service: is watched.
        keys: who may see the counters.
    """

    def __init__(self, service: Service, keys: Keys) -> None:
        self._service, self._keys = service, keys
        folder = files("isthmus.serve").joinpath("page")
        self._files = {path: folder.joinpath(name).read_bytes() for path, (name, _) in FILES.items()}

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(include_in_schema=False)
        for path in FILES:
            router.add_api_route(path, self.file, methods=["GET", "HEAD"])
        router.add_api_route("/healthz", self.health, methods=["GET"])
        router.add_api_route("/readyz", self.ready, methods=["GET"])
        router.add_api_route("/metrics", self.metrics, methods=["GET"])
        return router

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        path = request.url.path
        headers = {"Cache-Control": "no-cache"}
        return Response(self._files[path], media_type=FILES[path][1], headers=headers)

    async def health(self) -> Response:
        """Whether the process works; if not, start it again."""
        alive = self._service.decoder.alive
        return JSONResponse({"status": "ok" if alive else "the decoder has stopped"}, 200 if alive else 500)

    async def ready(self) -> Response:
        """Whether it takes requests."""
        ready = self._service.ready and self._service.decoder.alive
        return JSONResponse({"status": "ok" if ready else "not ready"}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """The counters, for Prometheus."""
        self._keys.check(request)
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)
