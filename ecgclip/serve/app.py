"""The routes of the server: fields of a request in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import ecgclip
from ecgclip.ecg import EcgclipError
from ecgclip.explain.answers import TOP
from ecgclip.io.recording import reading_options
from ecgclip.knowledge.concepts import CATEGORIES
from ecgclip.serve import answers
from ecgclip.serve.desk import RETRY_S, Desk, Named
from ecgclip.serve.examples import EXAMPLES
from ecgclip.serve.limits import Limits, Refusal

DISCLAIMER = "Research software, not a medical device."
PAGE = Path(str(resources.files("ecgclip.serve"))) / "page"
Text = Annotated[str | None, Form(max_length=10_000)]
Number = Annotated[float | None, Form()]
Flag = Annotated[bool, Form()]


class Answer(Response):
    """JSON; NaN, which it does not have, becomes null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        try:
            return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except ValueError:
            return self.render(_without_nan(content))


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return answers.number(content) if isinstance(content, float) else content


def make_app(desk: Desk) -> FastAPI:
    """The application, without its guard."""
    app = FastAPI(
        title="ecgclip",
        version=ecgclip.__version__,
        description=f"Zero-shot ECG classification in words. {DISCLAIMER}",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        default_response_class=Answer,
    )
    app.router.route_class = _route_class(desk.limits)
    _add_errors(app)
    _add_pages(app)
    _add_facts(app, desk)
    _add_questions(app, desk)
    return app


def _route_class(limits: Limits) -> type[APIRoute]:
    """Routes that take forms within the limits."""

    class LimitedRequest(Request):
        def form(self, **_: Any) -> Any:
            return super().form(max_files=limits.files, max_fields=32, max_part_size=4 * limits.text)

    class LimitedRoute(APIRoute):
        def get_route_handler(self) -> Callable:
            handler = super().get_route_handler()

            async def limited(request: Request) -> Response:
                return await handler(LimitedRequest(request.scope, request.receive))

            return limited

    return LimitedRoute


def named_ecg(
    files: Annotated[list[UploadFile], File(description="A .hea with its .dat; or files of any other format")] = [],  # noqa: B006
    ecg: Annotated[str | None, Form(max_length=64, description="Id of an ECG that is held")] = None,
    record: Annotated[str | None, Form(max_length=64, description="Id in the index")] = None,
    example: Annotated[str | None, Form(max_length=64, description="One of the examples of /api/info")] = None,
    sampling_rate: Annotated[float | None, Form(description="Hz; overrules the files")] = None,
    unit: Annotated[str | None, Form(max_length=16, description="mV, uV, V or nV; overrules the files")] = None,
    leads: Annotated[str | None, Form(max_length=500, description="I,II,…: overrules the files")] = None,
) -> Named:
    """What a request names an ECG by."""
    return Named(
        files, ecg or None, record or None, example or None, reading_options(sampling_rate, unit, leads or None)
    )


Ecg = Annotated[Named, Depends(named_ecg)]


def _add_errors(app: FastAPI) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        headers = {"Retry-After": str(RETRY_S)} if error.status == 503 else None
        return failure(error.status, error.text, headers)

    async def misused(request: Request, error: Exception) -> Response:
        return failure(400, str(error))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return failure(400, f"{first['loc'][-1]}: {first['msg']}")

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return failure(error.status_code, str(error.detail), error.headers)

    async def unexpected(request: Request, error: Exception) -> Response:
        return failure(500, f"unexpected {type(error).__name__}")

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(EcgclipError, misused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)


def failure(status: int, text: str, headers: Any = None) -> Response:
    """An error as it is answered: one line."""
    return Answer({"error": " ".join(text.split())[:500]}, status, headers)


def _add_pages(app: FastAPI) -> None:
    app.mount("/static", StaticFiles(directory=PAGE, check_dir=False), name="static")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    @app.get("/api", include_in_schema=False)
    async def api_page() -> Response:
        return FileResponse(PAGE / "api.html")


def _add_facts(app: FastAPI, desk: Desk) -> None:
    model, limits = desk.model, desk.limits
    info = {
        "version": ecgclip.__version__,
        "model": {
            "name": model.folder.name if model.folder else "",
            "sha256": model.weights_sha256,
            "threshold": model.config.threshold,
        },
        "disclaimer": DISCLAIMER,
        "index": desk.index and {key: desk.index.info()[key] for key in ("records", "windows", "kind")},
        "examples": [{"id": key, "name": {"en": each.en, "de": each.de}} for key, each in EXAMPLES.items()],
        "limits": {"max_mb": limits.max_mb, "files": limits.files, "time_s": limits.time_s},
        "categories": CATEGORIES,
        "reliability": model.config.training.get("reliability"),
    }
    concepts = answers.concept_rows(model)

    @app.get("/api/info")
    async def about() -> Any:
        """What this server is, what it has, and its limits."""
        return Answer(info)

    @app.get("/api/kb")
    async def knowledge_base() -> Any:
        """All conditions of the knowledge base with their names."""
        return Answer(concepts)

    @app.get("/api/kb/{concept}")
    async def condition(concept: str) -> Any:
        """Everything known of one condition; by id, name, abbreviation or code."""
        found = model.kb.find(concept[:200])
        if found is None:
            raise Refusal(404, "this is not in the knowledge base")
        return Answer(answers.concept_answer(found, model.kb))


def _add_questions(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/open")
    async def open_ecg(named: Ecg, start: Annotated[float, Form()] = 0, seconds: Annotated[float, Form()] = 10) -> Any:
        """Open one ECG and hold it for a while: its signal, beats and measurements."""
        async with desk.turn():
            return Answer(await desk.open(named, start, seconds))

    @app.post("/api/signal")
    async def signal(named: Ecg, start: Annotated[float, Form()] = 0, seconds: Annotated[float, Form()] = 10) -> Any:
        """A part of the signal, of up to 60 s, with its beats."""
        async with desk.turn():
            return Answer(await desk.signal(named, start, seconds))

    @app.post("/api/classify")
    async def classify(
        named: Ecg,
        labels: Annotated[str | None, Form(max_length=10_000, description="Conditions in words: AF,STEMI")] = None,
        top: Annotated[int | None, Form(ge=1, description=f"Only the most likely; {TOP} without labels")] = None,
        softmax: Annotated[bool, Form(description="Exactly one label is true")] = False,
        explain: Annotated[bool, Form(description="Also the evidence behind each score")] = False,
        enrich: Annotated[bool, Form(description="Ask with what the knowledge base says")] = True,
    ) -> Any:
        """Score ECGs for conditions in words: the JSON of `ecgclip classify`."""
        async with desk.turn():
            return Answer(await desk.classify(named, labels, top, softmax, explain, enrich))
