"""The application: routes, errors in the shape that each client expects, and what surrounds them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from isthmus.core.errors import IsthmusError
from isthmus.serve.deepl import DeepL
from isthmus.serve.errors import Problem, problem_of, sayable
from isthmus.serve.keys import Keys
from isthmus.serve.libretranslate import LibreTranslate
from isthmus.serve.native import Native
from isthmus.serve.pages import Pages
from isthmus.serve.service import Service
from isthmus.serve.shell import Shell

LIBRE = ("/translate", "/detect", "/languages", "/health")
"""Paths whose errors have the shape of LibreTranslate's."""


def application(service: Service, keys: Keys | None = None, origins: Sequence[str] = (), version: str = "") -> ASGIApp:
    """The whole server as an ASGI application; its lifespan starts and stops the service.

    Args:
        service: does the work.
        keys: who may use it; everybody by default.
        origins: of other sites whose pages may use it (CORS); none by default.
        version: of Isthmus, for the description of the interface.
    """
    keys = keys or Keys()
    app = FastAPI(
        title="Isthmus",
        version=version or "0",
        summary="Encoder-decoder models over HTTP.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(service),
    )
    for part in (Native(service, keys), LibreTranslate(service, keys), DeepL(service, keys), Pages(service, keys)):
        app.include_router(part.router())
    app.add_exception_handler(IsthmusError, _failed)
    app.add_exception_handler(ValidationError, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
        )
    return Shell(app, service)


def _lifespan(service: Service) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.close()

    return lifespan


async def _failed(request: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error)
    if problem.status == 500:
        logging.getLogger("isthmus.serve").error("%s failed", request.url.path, exc_info=error)
    return _answer(request, problem)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    errors = error.errors() if isinstance(error, RequestValidationError) else ()
    first = errors[0] if errors else {"loc": (), "msg": "", "type": ""}
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    status = 400 if first["type"] == "json_invalid" else 422
    problem = Problem(
        status, f"invalid request{more}", expected=sayable(str(first["msg"]))[:500], where=sayable(place)[:200]
    )
    return _answer(request, problem)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = {
        404: "there is nothing at this path",
        405: "this path is asked in another way",
        400: "the body cannot be read",
    }
    problem = Problem(status, said.get(status, "the request was refused"), fix="see /openapi.json")
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return _answer(request, problem, headers)


def _answer(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The error in the shape that the clients of this path expect."""
    path = request.url.path
    body: dict[str, object] = dict(problem.body())
    if path in LIBRE:
        body = {"error": problem.sentence}
    elif path.startswith("/v2/"):
        body = {"message": problem.sentence}
    return JSONResponse(body, problem.status, problem.headers | (headers or {}))
