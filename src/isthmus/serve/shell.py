"""What surrounds every request: the limit of its body, headers of the answer, counting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from types import MappingProxyType
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isthmus.serve.errors import Problem
from isthmus.serve.service import Service

HEADERS: Final = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }
)
"""What every answer carries."""


class Shell:
    """Wraps the application.

    Args:
        app: the application.
        service: has the limits and the counters.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._within_limits(scope, receive, dressed)
        finally:
            self._service.metrics.request(_route(scope), status, time.perf_counter() - began)

    async def _within_limits(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body first, if it is not too large and does not take too long."""
        limits = self._service.limits
        try:
            async with asyncio.timeout(limits.seconds):
                body = await _body(Headers(scope=scope), receive, limits.body)
        except TimeoutError:
            body = Problem(408, "the request did not arrive in time", expected=f"all of it within {limits.seconds:g} s")
        if body is None:
            return
        if isinstance(body, Problem):
            await JSONResponse(body.body(), body.status, {"Connection": "close"})(scope, receive, send)
            return
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replayed() -> MutableMapping[str, Any]:
            return next(messages, None) or await receive()

        await self._app(scope, replayed, send)


async def _body(headers: Headers, receive: Receive, most: int) -> bytes | Problem | None:
    """The body, or why it is refused, or None if the client went away."""
    too_large = Problem(413, "a request is too large", expected=f"at most {most:,} bytes", fix="divide it")
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length[:20]) > most:
        return too_large
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return too_large
        if not message.get("more_body", False):
            return b"".join(parts)


def _route(scope: Scope) -> str:
    """The path of the route, which is one of few, whatever clients ask for."""
    route = scope.get("route")
    return str(route.path) if route is not None else "other"
