"""The native interface: /v1."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import torch
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from isthmus.core.errors import InputError
from isthmus.core.padded import Padded
from isthmus.engines.torch_engine import TorchEngine
from isthmus.generate.answer import explained
from isthmus.generate.inputs import pair
from isthmus.generate.stream import Delta
from isthmus.serve.errors import problem_of
from isthmus.serve.keys import Keys
from isthmus.serve.models import Chosen, Models, Served
from isthmus.serve.requests import documented, has_left
from isthmus.serve.schema import (
    Asked,
    AttentionRequest,
    AttentionResponse,
    GenerateRequest,
    GenerateResponse,
    LimitsBody,
    ModelBody,
    ModelsResponse,
    StreamRequest,
)
from isthmus.serve.service import Service
from isthmus.serve.shapes import answer_body
from isthmus.serve.watch import Watch

MOST_PIECES = 256
"""Of a text whose attention is sent."""

STREAM_EXAMPLE = 'event: delta\ndata: {"text": "J\'adore"}\n\nevent: done\ndata: {"stop": "end", "warnings": []}\n\n'


class Native:
    """The routes of the native interface.

    Args:
        service: does the work.
        keys: who may use it.
    """

    def __init__(self, service: Service, keys: Keys) -> None:
        self._service, self._keys = service, keys

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/v1", tags=["native"], responses=documented(self._keys))
        router.add_api_route("/models", self.models, methods=["GET"], summary="Models and limits")
        router.add_api_route("/generate", self.generate, methods=["POST"], summary="Outputs of texts")
        router.add_api_route("/attention", self.attention, methods=["POST"], summary="Where the decoder looks")
        stream: dict[str, Any] = {"description": "Server-sent events."}
        stream["content"] = {"text/event-stream": {"example": STREAM_EXAMPLE}}
        router.add_api_route(
            "/stream",
            self.stream,
            methods=["POST"],
            summary="The output of a text as it comes",
            responses={**documented(self._keys), 200: stream},
            response_class=StreamingResponse,
        )
        return router

    async def models(self, request: Request) -> ModelsResponse:
        """The models, and what may be asked of them."""
        self._keys.check(request)
        limits = self._service.limits
        return ModelsResponse(
            models=[_model(one) for one in self._service.models.served],
            limits=LimitsBody(
                characters=limits.characters, texts=limits.texts, beams=limits.beams, seconds=limits.seconds
            ),
        )

    async def generate(self, body: GenerateRequest, request: Request) -> GenerateResponse:
        """The outputs of texts, in order: by beam search, or as the options say."""
        self._keys.check(request)
        chosen = chosen_for(self._service.models, body, body.texts[0])
        options = body.options.model_dump(exclude_none=True)
        options |= {"alignment": body.alignment, "alternatives": body.alternatives}
        asked = self._service.asked(chosen, body.texts, options)
        answers = await self._service.answers(asked, has_left(request))
        codec = chosen.served.translator.codec
        return GenerateResponse(
            model=chosen.served.name,
            source_language=chosen.source_language or chosen.served.translator.task.source_language,
            target_language=chosen.target_language or chosen.served.translator.task.target_language,
            answers=[answer_body(one, codec, body.alignment or body.alternatives > 0) for one in answers],
        )

    async def stream(self, body: StreamRequest, request: Request) -> StreamingResponse:
        """The output of one text as it comes, by greedy search or sampling: events `delta`, and at last `done` or `error`."""
        self._keys.check(request)
        chosen = chosen_for(self._service.models, body, body.text)
        asked = self._service.asked(chosen, [body.text], body.options.model_dump(exclude_none=True))
        deltas = self._service.stream(asked)
        first = await anext(deltas, None)  # what is wrong before anything came has a status of its own
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(_events(first, deltas), media_type="text/event-stream", headers=headers)

    async def attention(self, body: AttentionRequest, request: Request) -> AttentionResponse:
        """Where each head of each layer looks while it writes the given output."""
        self._keys.check(request)
        chosen = chosen_for(self._service.models, body, body.text)
        asked = self._service.asked(chosen, [body.text, body.output], body.options.model_dump(exclude_none=True))
        translator = chosen.served.translator
        ids, target_ids = pair(asked.examples[0], body.output, translator.codec, translator.task, 1)
        work = partial(self._looked, chosen.served, ids, target_ids)
        return AttentionResponse(
            model=chosen.served.name,
            source=translator.codec.source.pieces(ids),
            target=translator.codec.target.pieces(target_ids),
            weights=await self._service.run(work, has_left(request)),
        )

    def _looked(
        self, served: Served, source: Sequence[int], target: Sequence[int], watch: Watch
    ) -> list[list[list[list[float]]]]:
        engine = served.translator.engine
        if not isinstance(engine, TorchEngine):
            raise InputError(
                "the attention of single layers is seen only where PyTorch runs one model",
                expected="a single model in PyTorch",
                got=type(engine).__name__,
                where="model",
                fix="serve the bundle itself",
            )
        if max(len(source), len(target)) > MOST_PIECES:
            raise InputError(
                "the attention of long texts is too much to send",
                expected=f"at most {MOST_PIECES} pieces",
                got=f"{max(len(source), len(target))} pieces",
                where="text and output",
                fix="send one sentence",
            )
        target_in = Padded.of([[*engine.start_ids, *target[:-1]]])
        return self._service.decoder.call(watch, engine, partial(_weights, engine, Padded.of([source]), target_in))


def chosen_for(models: Models, asked: Asked, text: str) -> Chosen:
    """The model for a request: by its name, by the languages, or the first.

    Args:
        models: those of the server.
        asked: the request.
        text: to find out its language, where only the wanted one is given.

    Raises:
        InputError: there is no such model, or it does not write the wanted language.
    """
    if asked.model is None and asked.target_language is not None:
        return models.between(text, asked.source_language, asked.target_language)
    served = models.named(asked.model)
    return served.chosen(asked.source_language, asked.target_language)


def _model(served: Served) -> ModelBody:
    translator = served.translator
    return ModelBody(
        name=served.name,
        sources=list(served.sources),
        targets=list(served.targets),
        attention=isinstance(translator.engine, TorchEngine),
        defaults=translator.options.model_dump(exclude_unset=True, mode="json"),
    )


def _weights(engine: TorchEngine, source: Padded, target_in: Padded) -> list[list[list[list[float]]]]:
    """The weights of every layer that has some: [layer][head][piece of the output][piece of the input]."""
    with torch.inference_mode():
        _, decoded = engine.model.read(source.to(engine.device), target_in.to(engine.device), weights=True)
    return [
        [[[round(share, 4) for share in row] for row in head] for head in reading.weights_BHTS[0].float().tolist()]
        for reading in decoded.readings
        if reading.weights_BHTS is not None
    ]


async def _events(first: Delta | None, rest: AsyncIterator[Delta]) -> AsyncIterator[bytes]:
    """A stream as server-sent events."""
    stops: list[str] = []
    try:
        if first is not None:
            yield _delta(first, stops)
        async for one in rest:
            yield _delta(one, stops)
    except Exception as error:  # noqa: BLE001 - the status has been sent; the client is told in the stream
        yield _event("error", problem_of(error).body())
        return
    odd = [stop for stop in stops if stop != "end"]
    warnings = [explained(stop) for stop in odd]  # type: ignore[arg-type]
    yield _event("done", {"stop": odd[0] if odd else "end", "warnings": warnings})


def _delta(one: Delta, stops: list[str]) -> bytes:
    if one.stop is not None:
        stops.append(one.stop)
    return _event("delta", {"text": one.text, "stop": one.stop})


def _event(name: str, value: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
