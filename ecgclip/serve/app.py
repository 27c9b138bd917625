"""The routes of the server: fields of a request in, JSON out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

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
from ecgclip.plot.marks import layers_of
from ecgclip.plot.paper import DISCLAIMER
from ecgclip.serve import answers
from ecgclip.serve.desk import Desk, Named
from ecgclip.serve.examples import EXAMPLES
from ecgclip.serve.limits import Limits
from ecgclip.serve.refusal import Answer, Refusal, failure

PAGE = Path(str(resources.files("ecgclip.serve"))) / "page"
MEDIA = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf", "html": "text/html; charset=utf-8"}


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
Labels = Annotated[str | None, Form(max_length=10_000, description="Conditions in words: AF,STEMI")]
Label = Annotated[str, Form(max_length=200, description="A condition in words")]
Language = Annotated[Literal["en", "de"], Form()]
Count = Annotated[int, Form(ge=1, le=100, description="How many")]
Where = Annotated[str | None, Form(max_length=500, description="SQL condition such as age > 60 and sex = 'F'")]
Start = Annotated[float, Form(description="s from the start of the recording")]
Seconds = Annotated[float, Form(description="How many seconds")]


def _add_errors(app: FastAPI) -> None:
    async def misused(request: Request, error: Exception) -> Response:
        return failure(400, str(error))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        return failure(400, f"{first['loc'][-1]}: {first['msg']}")

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return failure(error.status_code, str(error.detail))

    async def unexpected(request: Request, error: Exception) -> Response:
        said = " ".join(str(error).split())[:300]
        print(f"error: {request.url.path}: unexpected {type(error).__name__}: {said}", file=sys.stderr)
        return failure(500, f"unexpected {type(error).__name__}")

    app.add_exception_handler(EcgclipError, misused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)


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
        "index": desk.archive and desk.archive.info(),
        "examples": [{"id": key, "name": {"en": each.en, "de": each.de}} for key, each in EXAMPLES.items()],
        "limits": {"max_mb": limits.max_mb, "files": limits.files, "time_s": limits.time_s},
        "categories": CATEGORIES,
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
    async def open_ecg(named: Ecg, start: Start = 0, seconds: Seconds = 10) -> Any:
        """Open one ECG and hold it for a while: its signal, beats and measurements."""
        async with desk.turn():
            return Answer(await desk.open(named, start, seconds))

    @app.post("/api/signal")
    async def signal(named: Ecg, start: Start = 0, seconds: Seconds = 10) -> Any:
        """A part of the signal, of up to 60 s, with its beats."""
        async with desk.turn():
            return Answer(await desk.signal(named, start, seconds))

    @app.post("/api/classify")
    async def classify(
        named: Ecg,
        labels: Labels = None,
        top: Annotated[int | None, Form(ge=1, description=f"Only the most likely; {TOP} without labels")] = None,
        softmax: Annotated[bool, Form(description="Exactly one label is true")] = False,
        explain: Annotated[bool, Form(description="Also the evidence behind each score")] = False,
        enrich: Annotated[bool, Form(description="Ask with what the knowledge base says")] = True,
    ) -> Any:
        """Score ECGs for conditions in words: the JSON of `ecgclip classify`."""
        async with desk.turn():
            return Answer(await desk.classify(named, labels, top, softmax, explain, enrich))

    @app.post("/api/describe")
    async def describe(
        named: Ecg,
        language: Language = "en",
        threshold: Annotated[float | None, Form(description="Lowest probability; default: the model's own")] = None,
    ) -> Any:
        """Describe ECGs in the sentences of a report: the JSON of `ecgclip describe`."""
        async with desk.turn():
            return Answer(await desk.describe(named, language, threshold))

    @app.post("/api/measure")
    async def measure(named: Ecg) -> Any:
        """Measure ECGs: rate, intervals, axis, and waves by lead."""
        async with desk.turn():
            return Answer(await desk.measure(named))

    @app.post("/api/places")
    async def places(named: Ecg, label: Label, start: Start = 0, seconds: Seconds = 10) -> Any:
        """Leads and parts of heartbeats that a label and each of its criteria look at."""
        async with desk.turn():
            return Answer(await desk.places(named, label, start, seconds))

    @app.post("/api/timeline")
    async def timeline(named: Ecg, labels: Labels = None) -> Any:
        """Heart rate and probabilities by window; without labels, of the conditions that are stated in any."""
        async with desk.turn():
            return Answer(await desk.timeline(named, labels))

    _add_searches(app, desk)
    _add_documents(app, desk)


def _add_searches(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/similar")
    async def similar(named: Ecg, k: Count = 10, where: Where = None) -> Any:
        """The ECGs of the index most like one."""
        if not named.ways:
            raise Refusal(400, "similar to what? name an ECG")
        async with desk.turn():
            return Answer((await desk.search(named, None, None, where, k))["hits"])

    @app.post("/api/search")
    async def search(
        named: Ecg,
        text: Annotated[str | None, Form(max_length=1000, description="Conditions in words")] = None,
        without: Annotated[str | None, Form(alias="not", max_length=1000, description="Leave this out")] = None,
        where: Where = None,
        k: Count = 10,
    ) -> Any:
        """ECGs of the index by words, by an ECG, or by both."""
        async with desk.turn():
            return Answer(await desk.search(named, text, without, where, k))


def _add_documents(app: FastAPI, desk: Desk) -> None:
    @app.post("/api/plot", response_class=Response)
    async def plot(
        named: Ecg,
        layout: Annotated[str | None, Form(max_length=100, description="3x4, 6x2, 12x1, or leads: II,V5")] = None,
        start: Start = 0,
        seconds: Seconds = 10,
        speed: Annotated[float, Form(description="25 or 50 mm/s")] = 25,
        gain: Annotated[float, Form(description="5, 10 or 20 mm/mV")] = 10,
        show: Annotated[str | None, Form(max_length=100, description="Of peaks,waves,st; or all")] = None,
        label: Annotated[str | None, Form(max_length=200, description="Shade what its criteria read")] = None,
        filtered: Annotated[bool, Form(description="What is measured instead of what was recorded")] = False,
        format: Annotated[Literal["svg", "png", "pdf"], Form()] = "svg",
    ) -> Any:
        """One ECG on ECG paper, as `ecgclip plot` draws it."""
        view: dict[str, Any] = {
            "layout": layout or None,
            "start": start,
            "seconds": seconds,
            "speed": speed,
            "gain": gain,
        }
        view |= {"show": layers_of(show), "label": label or None, "filtered": filtered}
        async with desk.turn():
            return Response(await desk.plot(named, view, f".{format}"), media_type=MEDIA[format])

    @app.post("/api/report", response_class=Response)
    async def report(
        named: Ecg,
        labels: Labels = None,
        language: Language = "en",
        format: Annotated[Literal["html", "pdf"], Form()] = "html",
    ) -> Any:
        """The report on one ECG, as a download."""
        async with desk.turn():
            name, content = await desk.report(named, labels, language, f".{format}")
        plain = re.sub(r"[^-\w]+", "_", name, flags=re.ASCII)
        headers = {"Content-Disposition": f'attachment; filename="{plain}.{format}"'}
        return Response(content, media_type=MEDIA[format], headers=headers)
