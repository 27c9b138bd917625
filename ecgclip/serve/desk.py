"""What is asked of ECGs: each question of the API is a method, whatever names the ECG.

files, id, record of the index, example ──worker──▶ Case ──lane of the model──▶ embedding, scores ──▶ JSON
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ecgclip.ecg import EcgclipError
from ecgclip.explain.answers import TOP, Classifier, Description
from ecgclip.explain.sentences import check_options, sentences
from ecgclip.index.search import query_notes
from ecgclip.knowledge.label_sets import split_labels
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.prompts import Prompt
from ecgclip.model.results import Embedding, Result
from ecgclip.report import Reporter, html_article, html_page
from ecgclip.serve import answers
from ecgclip.serve.archive import Archive
from ecgclip.serve.examples import EXAMPLES
from ecgclip.serve.held import Case, Held, signal_of
from ecgclip.serve.jobs import Opened, draw_plot, draw_report, draw_sheets, read_example, read_folder, read_record
from ecgclip.serve.lanes import Lane, calls
from ecgclip.serve.limits import MB, Limits
from ecgclip.serve.refusal import BUSY, Refusal, in_time
from ecgclip.serve.uploads import Upload, folder_of
from ecgclip.serve.workers import Workers

if TYPE_CHECKING:
    from ecgclip.index import ECGIndex

BATCH = 32  # requests that are encoded together
LONG = 32  # windows from which on a recording has a thread beside the others
NO_PICTURE = '<svg width="1pt" height="1pt"/>'  # in the HTML that a PDF is made of
KEPT_PROMPTS = 64  # lists of labels
T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True)
class Named:
    """What a request names an ECG by, one of four; and how files are to be read."""

    files: Sequence[Upload] = ()
    ecg: str | None = None
    record: str | None = None
    example: str | None = None
    reading: dict[str, Any] = field(default_factory=dict)

    @property
    def ways(self) -> int:
        """How many of the four are given."""
        return sum([bool(self.files), *(way is not None for way in (self.ecg, self.record, self.example))])


@dataclass(frozen=True, eq=False)
class _Question:
    """What the lane of short recordings answers: a case, and the prompts that it is scored for."""

    case: Case
    prompts: Sequence[Prompt]
    softmax: bool


class Desk:
    """Answers questions about ECGs.

    Parameters
    ----------
    model
        A trained one.
    index
        An archive to search, if there is one.
    limits
        What a request may take.
    knowledge_base
        The folder of the model's, if it is not the shipped one.
    """

    def __init__(self, model: ECGCLIP, index: ECGIndex | None, limits: Limits, knowledge_base: str | None = None):
        self.model, self.limits = model, limits
        self.archive = Archive(index) if index else None
        self._knowledge_base = knowledge_base
        self.held = Held(limits.held_mb * MB)
        self.workers = Workers(limits)
        self._turns = asyncio.Semaphore(limits.at_work)
        self._waiting = self._working = 0
        self._prompts: dict[tuple[tuple[str, ...] | None, bool], list[Prompt]] = {}
        self._words = Lane[Callable[[], Any], Any]("words", calls)
        self._short = Lane[_Question, tuple[Embedding, Result]]("short recordings", self._score, BATCH, self._at_work)
        self._evidence = Lane[Callable[[], Any], Any]("evidence", calls)
        self._long = Lane[Callable[[], Any], Any]("long recordings", calls)
        self._answers = Lane[Callable[[], Any], Any]("answers", calls)
        self._search = Lane[Callable[[], Any], Any]("search", calls)

    # --- turns --------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until fewer than `limits.at_work` others are at work. Raises Refusal if too many wait, or too long."""
        if self._turns.locked():
            await self._wait()
        else:
            await self._turns.acquire()
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1
            self._turns.release()

    async def _wait(self) -> None:
        if self._waiting >= self.limits.waiting:
            raise Refusal(503, BUSY)
        self._waiting += 1
        try:
            await in_time(self._turns.acquire(), self.limits.patience_s)
        finally:
            self._waiting -= 1

    def _at_work(self) -> int:
        """How many requests are at work."""
        return self._working

    # --- opening ------------------------------------------------------------------------------------------------------

    async def cases(self, named: Named, with_signal: bool = False) -> list[Case | Opened]:
        """The ECGs that a request names; an `Opened` with its error where one cannot be used."""
        if named.ways != 1:
            raise Refusal(400, "name the ECG by one of: files, ecg, record, example")
        rate = self.model.config.ecg.sampling_rate
        if named.ecg is not None:
            return [self._held(named.ecg)]
        if named.example is not None:
            if named.example not in EXAMPLES:
                raise Refusal(404, f"no such example: {', '.join(EXAMPLES)}")
            return [_case(await self.workers.run(read_example, named.example, rate))]
        if named.record is not None:
            file, reading = await self._searched(self._archive().file_of, named.record)
            opened = await self.workers.run(read_record, file, reading | named.reading, rate, with_signal)
            return [_case(opened, file)]
        async with folder_of(named.files) as folder:
            several = await self.workers.run(read_folder, folder, named.reading, rate, self.limits.records, with_signal)
        if not several:
            raise Refusal(422, "no ECG in these files")
        return [_case(each) for each in several]

    async def one(self, named: Named) -> Case:
        """The one ECG that a request names, with its signal."""
        found = await self.cases(named, with_signal=True)
        if len(found) != 1:
            raise Refusal(400, f"these files hold {len(found)} ECGs: send one")
        if isinstance(found[0], Opened):
            raise Refusal(422, found[0].error)
        return found[0]

    def _held(self, key: str) -> Case:
        case = self.held.get(key)
        if case is None:
            raise Refusal(404, "this ECG is no longer held: send its files again")
        return case

    def _archive(self) -> Archive:
        if self.archive is None:
            raise Refusal(404, "this server has no index")
        return self.archive

    async def _searched(self, question: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What the index answers."""
        return await self._asked(self._search, partial(question, *args, **kwargs))

    async def _asked(self, lane: Lane[Any, Any], item: Any) -> Any:
        """What a lane answers in time; a bug that a strange recording meets is no fault of the server's."""
        try:
            return await in_time(lane.ask(item), self.limits.patience_s)
        except (EcgclipError, Refusal):
            raise
        except Exception as error:
            print(f"error: unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}", file=sys.stderr)
            raise Refusal(422, f"cannot be answered (unexpected {type(error).__name__})") from error

    async def _told(self, tell: Callable[..., T], *args: Any) -> T:
        """What is told without the model."""
        return await self._asked(self._answers, partial(tell, *args))

    # --- the model ----------------------------------------------------------------------------------------------------

    async def prompts(self, labels: Sequence[str] | None, enrich: bool = True) -> list[Prompt]:
        """The prompts of labels; those asked for lately are kept."""
        key = (None if labels is None else tuple(labels)), enrich
        if key not in self._prompts:
            made = await self._asked(self._words, partial(self.model.prompts, labels, enrich=enrich))
            while len(self._prompts) >= KEPT_PROMPTS:
                del self._prompts[next(iter(self._prompts))]
            self._prompts[key] = made
        return self._prompts[key]

    async def scored(self, case: Case, prompts: Sequence[Prompt], softmax: bool = False) -> tuple[Embedding, Result]:
        """The embedding and the scores of a case."""
        question = _Question(case, prompts, softmax)
        if _is_short(case):
            return await self._asked(self._short, question)
        return (await self._asked(self._long, partial(self._score, [question])))[0]

    async def _said(self, case: Case, say: Callable[[], T]) -> T:
        """What is said of a case by its scores."""
        return await self._asked(self._evidence if _is_short(case) else self._long, say)

    def _score(self, questions: Sequence[_Question]) -> list[tuple[Embedding, Result]]:
        """Encode all that were not yet, and score those that are asked for the same together."""
        new = list({id(q.case): q.case for q in questions if not isinstance(q.case.examined, Embedding)}.values())
        for case, embedding in zip(new, self.model.encode([case.examined for case in new]), strict=True):
            case.examined = embedding
        answered: dict[int, tuple[Embedding, Result]] = {}
        groups: dict[tuple[int, bool], list[int]] = {}
        for i, q in enumerate(questions):
            groups.setdefault((id(q.prompts), q.softmax), []).append(i)
        for rows in groups.values():
            embeddings = [_embedding(questions[i].case) for i in rows]
            results = self.model.score(embeddings, questions[rows[0]].prompts, questions[rows[0]].softmax)
            answered.update(zip(rows, zip(embeddings, results, strict=True), strict=True))
        return [answered[i] for i in range(len(questions))]

    # --- questions ----------------------------------------------------------------------------------------------------

    async def open(self, named: Named, start: float, seconds: float) -> Json:
        """Hold an ECG; its signal, beats and measurements."""
        case = await self.one(named)
        key = named.ecg or self.held.add(case)
        return {"ecg": key} | await self._told(answers.opened, case, start, seconds)

    async def signal(self, named: Named, start: float, seconds: float) -> Json:
        """A part of the signal with its beats."""
        return await self._told(answers.part, await self.one(named), start, seconds)

    async def classify(
        self, named: Named, labels: str | None, top: int | None, softmax: bool, explain: bool, enrich: bool
    ) -> list[Json]:
        """The list of `ecgclip classify --format json`."""
        chosen = self._labels(labels)
        prompts = await self.prompts(chosen, enrich)
        top = top or (TOP if chosen is None else None)
        classifier = Classifier(self.model, prompts, top, chosen is None, explain, self.archive)
        one_by_one = asyncio.Lock()  # the evidence of many records does not keep others waiting

        async def answer(case: Case) -> Json:
            scored = await self.scored(case, prompts, softmax)
            if not explain:
                return classifier.answer(*scored).to_dict()
            async with one_by_one:
                return (await self._said(case, partial(classifier.answer, *scored))).to_dict()

        return await self._each(await self.cases(named), answer)

    async def describe(self, named: Named, language: str, threshold: float | None) -> list[Json]:
        """The list of `ecgclip describe --format json`."""
        check_options(threshold, language)
        prompts = await self.prompts(None)

        async def answer(case: Case) -> Json:
            scored = await self.scored(case, prompts)
            said = partial(sentences, self.model, *scored, threshold=threshold, language=language)
            return Description(case.name, await self._said(case, said)).to_dict()

        return await self._each(await self.cases(named), answer)

    async def measure(self, named: Named) -> list[Json]:
        """What was measured in each ECG."""

        async def answer(case: Case) -> Json:
            return await self._told(answers.measurements, case)

        return await self._each(await self.cases(named), answer)

    async def places(self, named: Named, label: str, start: float, seconds: float) -> Json:
        """What a label and its criteria look at."""
        (prompt,) = await self.prompts([label])
        return await self._told(answers.shades, await self.one(named), prompt, self.model.kb, start, seconds)

    async def timeline(self, named: Named, labels: str | None) -> Json:
        """Scores by window."""
        chosen = self._labels(labels)
        prompts = await self.prompts(chosen)
        embedding, result = await self.scored(await self.one(named), prompts)
        return await self._told(answers.timeline, self.model, embedding, result, chosen is None)

    async def search(self, named: Named, text: str | None, without: str | None, where: str | None, k: int) -> Json:
        """Records of the index for words, an ECG, or both; and how the words were understood."""
        archive = self._archive()
        like = await self._embedded(await self.one(named)) if named.ways else None
        query = partial(archive.search, text or None, like=like, without=without or None, where=where or None, k=k)
        notes = await self._searched(query_notes, self.model, text, without)
        return {"notes": notes, "hits": [hit.to_dict() | {"id": str(hit.id)} for hit in await self._searched(query)]}

    async def _embedded(self, case: Case) -> Embedding:
        return (await self.scored(case, await self.prompts(None)))[0]

    async def plot(self, named: Named, view: Json, ending: str) -> bytes:
        """A picture."""
        case = await self.one(named)
        return await self.workers.run(draw_plot, signal_of(case), case.name, view, ending, self._knowledge_base)

    async def report(self, named: Named, labels: str | None, language: str, ending: str) -> tuple[str, bytes]:
        """The name of an ECG, and the report on it, .html or .pdf."""
        reporter = Reporter(self.model, self._labels(labels) or (), language=language, index=self.archive)
        prompts = await self._asked(self._words, lambda: reporter.prompts)
        case = await self.one(named)
        ecg = signal_of(case)
        scored = await self.scored(case, prompts)
        picture = await self.workers.run(draw_report, ecg, case.name) if ending == ".html" else NO_PICTURE

        def write() -> str:
            said = replace(reporter.report(ecg, *scored, picture=picture), name=case.name)
            return html_page([(case.name, html_article(said, language))], reporter)

        html = await self._said(case, write)
        if ending == ".html":
            return case.name, html.encode(errors="replace")
        return case.name, await self.workers.run(draw_sheets, ecg, case.name, html)

    def _labels(self, labels: str | None) -> list[str] | None:
        chosen = split_labels(labels) if labels and labels.strip() else None
        if chosen and len(chosen) > self.limits.labels:
            raise Refusal(400, f"{len(chosen)} labels: ask for {self.limits.labels} at the most")
        return chosen

    async def _each(self, cases: Sequence[Case | Opened], answer: Callable[[Case], Any]) -> list[Json]:
        """The answer for each case, under its name; its error where it has none."""

        async def one(case: Case | Opened) -> Json:
            try:
                if isinstance(case, Opened):
                    raise Refusal(422, case.error)
                return await answer(case) | {"record": case.name}
            except (Refusal, EcgclipError) as error:
                return {"record": case.name, "error": str(error)}

        entries = await asyncio.gather(*(one(case) for case in cases))
        failed = [entry["error"] for entry in entries if "error" in entry]
        if len(failed) == len(entries):
            raise Refusal(422, failed[0] + (f" (and {len(failed) - 1} more)" if failed[1:] else ""))
        return entries


def _case(opened: Opened, file: str = "") -> Case | Opened:
    """The path is kept where the record is one of the index, so that it is not found as like itself."""
    return Case(opened.name, opened.ecg, replace(opened.examined, record=file)) if opened.examined else opened


def _is_short(case: Case) -> bool:
    return len(case.examined.measurements) < LONG


def _embedding(case: Case) -> Embedding:
    assert isinstance(case.examined, Embedding)
    return case.examined
