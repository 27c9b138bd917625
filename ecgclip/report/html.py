"""A report as HTML: one file with its style and pictures in it, without a script, and nothing is loaded from elsewhere.

`tag` escapes every text that is not `Html` already, and closes what it opens: so nothing that a file, a label or an
index says can become part of the page.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape, unescape
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ecgclip.explain.measured import NO_TEST
from ecgclip.plot.draw import age_words
from ecgclip.plot.page import printed
from ecgclip.plot.paper import DISCLAIMER
from ecgclip.report.picture import inline_svg
from ecgclip.report.ranges import Row, is_adult
from ecgclip.report.style import STYLE
from ecgclip.report.words import GERMAN

if TYPE_CHECKING:
    from ecgclip.explain.sentences import Sentence
    from ecgclip.index import Hit
    from ecgclip.report.content import Condition, Report, Reporter

SIGNS = {"met": "●", "within": "●", "borderline": "◐", "unmet": "○", "below": "▼", "above": "▲", "not measurable": "–"}
PARTS = {"R": "R peaks", "TQ": "between T and Q"}  # parts of the heartbeat whose names are none to a reader
PICTURE = "12-lead ECG on ECG paper with the class of each beat, the waves of one beat and the ST levels"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
META = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<meta name="color-scheme" content="light dark"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
)
MAX_TEXT = 200  # characters of a case's labels or report


class Html(str):
    """Text that is HTML."""


def tag(name: str, *parts: str, **attributes: str | None) -> Html:
    """An element; an attribute that is None is left out, and `class_` is class, `aria_label` aria-label."""
    named = {key.strip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    written = "".join(f' {key}="{_escaped(value)}"' for key, value in named.items())
    return Html(f"<{name}{written}>{_inside(parts)}</{name}>")


def _escaped(text: str) -> str:
    """A text as HTML writes it; what no text may hold, as a byte of a file's name, becomes ?."""
    return escape(text.encode(errors="replace").decode())


def _plain(text: str) -> str:
    """A text without its HTML, for an attribute."""
    return unescape(re.sub(r"<[^>]*>", "", text)) if isinstance(text, Html) else text


def _inside(parts: Iterable[str]) -> Html:
    return Html("".join(part if isinstance(part, Html) else _escaped(part) for part in parts))


def html_article(report: Report, language: str = "en", number: int = 1) -> Html:
    """The part of a page that is on one record; `number` tells it from the others of the page."""
    return _Writer(language).article(report, number)


def html_page(articles: Sequence[tuple[str, Html]], reporter: Reporter) -> str:
    """The page of one or several records.

    Parameters
    ----------
    articles
        The name of each record, and what `html_article` wrote of it, numbered from 1.
    reporter
        What made the reports.
    """
    return _Writer(reporter.language).page(articles, reporter)


@dataclass(frozen=True)
class _Writer:
    """Writes in a language."""

    language: str

    def say(self, text: str) -> str:
        """A word or sentence of the report in its language."""
        return GERMAN[text] if self.language == "de" else text

    def english(self, text: str) -> Html:
        """A text that there is in English alone, marked as such in a report of another language."""
        return _inside([text]) if self.language == "en" else tag("span", text, lang="en")

    # --- page ---------------------------------------------------------------------------------------------------------

    def page(self, articles: Sequence[tuple[str, Html]], reporter: Reporter) -> str:
        title = self.say("ECG report") + (f": {articles[0][0]}" if len(articles) == 1 else "")
        head = tag("head", Html(META), tag("title", title), tag("style", Html(STYLE)))
        contents = self._contents([name for name, _ in articles]) if len(articles) > 1 else Html()
        body = tag("body", self._header(reporter), contents, tag("main", *(article for _, article in articles)))
        return f"<!DOCTYPE html>\n{tag('html', head, body, lang=self.language)}\n"

    def _header(self, reporter: Reporter) -> Html:
        from ecgclip import __version__

        model, say = reporter.model, self.say
        weights = f"{say('weights SHA-256')} {model.weights_sha256 if model.folder else '–'}"
        knowledge = f"{say('knowledge base')}: {len(model.kb.concepts)} {say('conditions')}"
        made = f"ecgclip {__version__}, {weights}, {say('threshold')} {reporter.limit:.2f}, {knowledge}"
        return tag("header", tag("h1", say("ECG report")), tag("p", say(DISCLAIMER)), tag("p", made, class_="soft"))

    def _contents(self, names: Sequence[str]) -> Html:
        items = [tag("li", tag("a", name, href=f"#record-{i}")) for i, name in enumerate(names, 1)]
        return tag("nav", tag("h2", self.say("Records")), tag("ol", *items), aria_label=self.say("Records"))

    # --- one record ---------------------------------------------------------------------------------------------------

    def article(self, report: Report, number: int) -> Html:
        sources = _Sources(number, report.sources)
        parts = [
            tag("h2", report.name),
            self._facts(report),
            self._picture(report, number),
            self._description(report.sentences),
            self._measurements(report, sources),
            self._conditions(report, sources),
            self._cases(report),
            self._quality(report, sources),
            self._sources(sources),
        ]
        return tag("article", *parts, id=f"record-{number}")

    def _facts(self, report: Report) -> Html:
        ecg, say = report.ecg, self.say
        metadata = ecg.metadata
        facts = {
            "Patient": self._patient(report),
            "Time": str(metadata.get("time") or "").replace("T", " "),
            "Device": str(metadata.get("device") or ""),
            "Recording": f"{ecg.seconds:.1f} s, {ecg.sampling_rate:g} Hz, {say('leads')}: {' '.join(ecg.leads)}",
            "Analysed": f"{report.used_s:.1f} {say('of')} {ecg.seconds:.1f} s",
        }
        rows = [part for name, text in facts.items() if text for part in (tag("dt", say(name)), tag("dd", text))]
        return tag("dl", *rows)

    def _patient(self, report: Report) -> str:
        age, sex = report.ecg.metadata["age"], report.ecg.metadata["sex"]
        words = [] if age is None else [" ".join(w if w[0].isdigit() else self.say(w) for w in age_words(age).split())]
        words += [self.say(sex)] if sex else []
        return ", ".join(words) or self.say("unknown age and sex")

    def _picture(self, report: Report, number: int) -> Html:
        svg = report.picture if isinstance(report.picture, str) else printed([report.picture], ".svg").decode()
        picture = Html(inline_svg(svg, f"{report.name}: {self.say(PICTURE)}", f"r{number}-"))
        caption = self.say("True to scale when it is printed at 100 % on A4.")
        paper = tag("div", picture, class_="paper", tabindex="0", role="group", aria_label=self.say("ECG"))
        return tag("figure", paper, tag("figcaption", caption))

    def _section(self, heading: str, *parts: Html) -> Html:
        return tag("section", tag("h3", self.say(heading)), *parts)

    def _description(self, said: Sequence[Sentence]) -> Html:
        if not said:
            text = tag("p", self.say("Nothing is probable enough to be stated."))
        else:
            rows = [tag("li", each.said, " ", tag("span", f"{each.probability:.2f}", class_="soft")) for each in said]
            text = tag("ul", *rows)
        return self._section("Description", text)

    # --- measurements -------------------------------------------------------------------------------------------------

    def _measurements(self, report: Report, sources: _Sources) -> Html:
        age = report.ecg.metadata["age"]
        caption = self.say("Medians of the recording beside the normal ranges")
        if is_adult(age):
            caption += f" ({self.say('adults')}; {self._patient(report)})"
        else:
            caption = self.say("The normal ranges are those of adults, and are not shown for a child.")
        return self._section("Measurements", self._ranged(caption, report.measured, sources), self._leads(report))

    def _ranged(self, caption: str, rows: Sequence[Row], sources: _Sources) -> Html:
        heads = ("Measurement", "Value", "Normal", "Answer", "Source")
        lines = [
            [self.say(row.name), _value(row), _range(row), self._answer(row.answer), sources.link(row.source)]
            for row in rows
        ]
        return self._table(caption, heads, lines, numbers=(1, 2))

    def _leads(self, report: Report) -> Html:
        """The waves of all leads, a column each."""
        leads = list(report.st)
        names = {"R": "r_mv", "S": "s_mv", "T": "t_mv"}
        lines = [[name, *(_signed(report.waves[key][lead]) for lead in leads)] for name, key in names.items()]
        lines.append(["ST", *(_signed(row.value) for row in report.st.values())])
        lines.append([self.say("normal ST"), *(_range(row) for row in report.st.values())])
        lines.append([self.say("Answer"), *(self._sign(row.answer) for row in report.st.values())])
        key = ", ".join(f"{SIGNS[word]} {self.say(word)}" for word in ("within", "borderline", "below", "above"))
        caption = f"{self.say('Waves by lead, mV; ST at J + 60 ms')} ({key})"
        return self._table(caption, (self.say("Wave"), *leads), lines, range(1, 13), said=True, class_="leads")

    def _sign(self, answer: str) -> Html:
        """The sign of an answer alone, where there is no room for the word."""
        if not answer:
            return Html("–")
        return tag("span", SIGNS[answer], role="img", aria_label=self.say(answer), class_=answer)

    def _answer(self, answer: str) -> Html:
        if not answer:
            return Html("–")
        return tag("span", f"{SIGNS[answer]} {self.say(answer)}", class_=f"answer {answer.replace(' ', '-')}")

    def _table(
        self,
        caption: str,
        heads: Sequence[str],
        rows: Sequence[Sequence[str]],
        numbers: Iterable[int] = (),
        said: bool = False,
        class_: str | None = None,
    ) -> Html:
        """A table whose first column names the rows; said: the heads are in the language of the report already."""
        kinds = ["number" if i in numbers else None for i in range(len(heads))]
        columns = zip(heads if said else map(self.say, heads), kinds, strict=True)
        head = tag("tr", *(tag("th", name, scope="col", class_=kind) for name, kind in columns))
        lines = []
        for first, *cells in rows:
            others = [tag("td", cell, class_=kind) for cell, kind in zip(cells, kinds[1:], strict=True)]
            lines.append(tag("tr", tag("th", first, scope="row"), *others))
        table = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *lines), class_=class_)
        return tag("div", table, class_="wide", tabindex="0", role="group", aria_label=_plain(caption))

    # --- conditions ---------------------------------------------------------------------------------------------------

    def _conditions(self, report: Report, sources: _Sources) -> Html:
        found = report.conditions
        if not found:
            text = self.say("Nothing was asked for, and no condition is over the threshold.")
            return self._section("Conditions", tag("p", text))
        asked = any(each.label for each in found)
        caption = self.say("Those asked for, and those over the threshold" if asked else "Those over the threshold")
        rows = [[self._name(each), _probability(each.score.probability), self._remark(each)] for each in found]
        note = tag("p", self.say("Broader conditions are left out beside narrower ones."), class_="soft")
        table = self._table(caption, ("Condition", "Probability", "Note"), rows)
        return self._section("Conditions", table, note, *(self._condition(each, sources) for each in found))

    def _name(self, condition: Condition) -> Html:
        if condition.concept is None:
            return self.english(condition.meaning)
        if self.language == "de" and (names := condition.concept.aliases.get("de")):
            return _inside([names[0]])
        return self.english(condition.concept.name)

    def _remark(self, condition: Condition) -> Html:
        label, meaning, note = condition.label, condition.meaning, condition.score.note
        words = []
        if label:
            same = label.casefold() == meaning.casefold()
            words.append(_inside([self.say("asked for") if same else f"{self.say('asked as')} {label}"]))
        if note and note != meaning:
            words.append(self.english(note))
        return Html("; ".join(words) or "–")

    def _condition(self, condition: Condition, sources: _Sources) -> Html:
        name, concept = self._name(condition), condition.concept
        parts = [tag("h4", name, f" {_number(condition.score.probability, 2)}")]
        if concept:
            parts.append(tag("p", concept.definition if self.language == "en" else concept.definition_de))
        for of, rows in groupby(condition.criteria, lambda row: row["concept"]):
            parts.append(self._criteria(name if concept or not of else self.english(of), list(rows), sources))
        if not condition.criteria:
            parts.append(tag("p", self.say("The knowledge base has no criteria for it.")))
        if condition.seen:
            parts.append(tag("p", f"{self.say('Where to look')}: {self._seen(condition.seen)}."))
        for each in condition.explained:
            words = f"({each['degree']:.2f}): {self.say('what is met counts less')}."
            parts.append(tag("p", f"{self.say('Explained by')} ", self.english(each["by"]), f" {words}"))
        if condition.cases:
            share = f"{condition.cases[0]} {self.say('of')} {condition.cases[1]}"
            parts.append(tag("p", f"{share} {self.say('of the nearest cases with labels share it')}."))
        return tag("section", *parts)

    def _criteria(self, name: Html, criteria: Sequence[dict[str, Any]], sources: _Sources) -> Html:
        rows = [
            [
                self.english(each["text"]),
                self._role(each["role"]),
                self._answer(each["answer"]),
                self.say(each["value"]) if each["value"] == NO_TEST else self.english(each["value"]),
                sources.link(each["source"]),
            ]
            for each in criteria
        ]
        heads = ("Criterion", "Role", "Answer", "Measured", "Source")
        return self._table(Html(f"{self.say('Criteria')}: {name}"), heads, rows)

    def _role(self, role: str) -> str:
        """A role; "one of elevation" and "2 of p" name a group of criteria."""
        count, of, group = role.partition(" of ")
        if not of:
            return self.say(role)
        return f"{self.say('one') if count == 'one' else count} {self.say('of')} {group}"

    def _seen(self, seen: dict[str, list[str]]) -> str:
        def words(part: str, leads: list[str]) -> str:
            name = self.say(PARTS[part]) if part in PARTS else part
            return f"{name} {self.say('in')} {', '.join(leads)}" if leads else name

        return "; ".join(words(*each) for each in seen.items())

    # --- cases, quality, sources --------------------------------------------------------------------------------------

    def _cases(self, report: Report) -> Html:
        if report.cases is None:
            return Html()
        if not report.cases:
            return self._section("Nearest cases", tag("p", self.say("The index has none.")))
        rows = [
            [os.path.basename(hit.record), f"{hit.score:.3f}", f"{hit.start_s:.0f} s", _case_words(hit)]
            for hit in report.cases
        ]
        heads = ("Case", "Likeness", "At", "Labels or report")
        caption = self.say("Cases of the index, the most similar first")
        return self._section("Nearest cases", self._table(caption, heads, rows, numbers=(1, 2)))

    def _quality(self, report: Report, sources: _Sources) -> Html:
        leads = {"Not usable in all of it": report.masked, "Computed from other leads": report.derived}
        items = [tag("li", f"{self.say(words)}: {', '.join(names)}") for words, names in leads.items() if names]
        items += [tag("li", self.english(note)) for note in report.notes]
        notes = tag("ul", *items) if items else tag("p", self.say("Nothing was assumed."))
        table = self._ranged(self.say("Quality of the signal"), report.quality, sources)
        return self._section("Quality, and what was assumed", table, notes)

    def _sources(self, sources: _Sources) -> Html:
        items = [tag("li", self.english(sources.texts[key]), id=sources.anchor(key)) for key in sources.keys]
        return self._section("Sources", tag("ol", *items)) if items else Html()


class _Sources:
    """The literature that a record's report names, numbered as it is met."""

    def __init__(self, number: int, texts: dict[str, str]):
        self._number, self.texts = number, texts
        self.keys: list[str] = []

    def link(self, key: str | None) -> Html:
        """The number of a source, which leads to it; a dash for none."""
        if key is None:
            return Html("–")
        if key not in self.keys:
            self.keys.append(key)
        return tag("a", f"[{self.keys.index(key) + 1}]", href=f"#{self.anchor(key)}")

    def anchor(self, key: str) -> str:
        """The id of a source on the page."""
        return f"record-{self._number}-source-{self.keys.index(key) + 1}"


def _probability(value: float) -> Html:
    if math.isnan(value):
        return Html("–")
    bar = tag("span", tag("span", style=f"width: {100 * value:.0f}%"), class_="bar", aria_hidden="true")
    return Html(f"{value:.2f}{bar}")


def _value(row: Row) -> str:
    return "–" if row.value is None else f"{_number(row.value, row.digits)} {row.unit}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")  # no -0


def _range(row: Row) -> str:
    """What is normal, such as "60 to 100", "≤ 120" or a dash."""
    low, high = (None if end is None else f"{end:g}".replace("-", "−") for end in (row.low, row.high))
    if low is None:
        return "–" if high is None else f"≤ {high}"
    return f"≥ {low}" if high is None else f"{low} … {high}"


def _case_words(hit: Hit) -> str:
    """The labels of a case, or else its report, in one line."""
    text = " ".join((", ".join(hit.labels) or hit.report).split())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
