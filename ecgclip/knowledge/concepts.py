"""What one entry of the knowledge base holds: a condition, its criteria, passages and sources."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from ecgclip.ecg import LEADS

CATEGORIES = (
    "rhythm", "ectopy", "conduction", "pacing", "infarction", "ischemia", "st-t", "hypertrophy", "axis-voltage",
    "electrolyte-drug", "syndrome", "normal", "technical", "beat",
)  # fmt: skip
LANGUAGES = ("en", "de")
MISSPELT = (
    5  # letters from which on a word is known by most of them: of a shorter one another letter makes another word
)
PASSAGE_KINDS = ("name", "alias", "report", "criteria", "criterion", "definition", "negation")
FIELDS = {
    "id", "name", "category", "aliases", "codes", "broader", "definition", "definition_de", "criteria", "lookalikes",
    "report", "report_de", "negation", "negation_de", "sources",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A guideline or review; `doi` only where it was looked up."""

    key: str
    society: str
    title: str
    year: int
    doi: str | None = None

    def __str__(self) -> str:
        return f"{self.society}: {self.title} ({self.year})" + (f", doi:{self.doi}" if self.doi else "")


@dataclass(frozen=True)
class Criterion:
    """One ECG criterion, the leads it concerns and the key of its source."""

    text: str
    leads: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class Passage:
    """A piece of text about a concept, of one of PASSAGE_KINDS; this is what FAISS holds."""

    concept: str
    kind: str
    text: str
    language: str
    source: str | None = None


@dataclass(frozen=True)
class Concept:
    """A condition; the fields of its YAML file."""

    id: str
    name: str
    category: str
    aliases: dict[str, list[str]]
    codes: dict[str, Any]
    broader: list[str]
    definition: str
    definition_de: str
    criteria: tuple[Criterion, ...]
    lookalikes: list[str]
    report: list[str]
    report_de: list[str]
    negation: list[str]
    negation_de: list[str]
    sources: list[str]

    @property
    def passages(self) -> list[Passage]:
        def each(kind: str, texts: list[str], language: str) -> list[Passage]:
            return [Passage(self.id, kind, text, language) for text in texts]

        criteria = [Passage(self.id, "criterion", c.text, "en", c.source) for c in self.criteria]
        return [
            *each("name", [self.name], "en"),
            *(p for language in LANGUAGES for p in each("alias", self.aliases.get(language, []), language)),
            *each("report", self.report, "en"),
            *each("report", self.report_de, "de"),
            *each("criteria", [", ".join(c.text for c in self.criteria)] * bool(self.criteria), "en"),
            *criteria,
            *each("definition", [self.definition], "en"),
            *each("definition", [self.definition_de], "de"),
            *each("negation", self.negation, "en"),
            *each("negation", self.negation_de, "de"),
        ]


_WRITTEN_OUT = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss", ord("°"): ""}


def normalise(label: str) -> str:
    """Spelling that does not matter: case, hyphens, spaces, umlauts written out, a plural bracket."""
    text = unicodedata.normalize("NFC", label).casefold().translate(_WRITTEN_OUT)
    return re.sub(r"[\W_]+", "", text)


def words_of(text: str) -> list[str]:
    """Its words and numbers, in the spelling of `normalise`."""
    plain = unicodedata.normalize("NFC", text).casefold().translate(_WRITTEN_OUT)
    return re.findall(r"[^\W_]+", plain)


def _forms(word: str) -> set[str]:
    """The word; and a longer one without any one letter: two words a slip apart have such a form in common."""
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)) if len(word) >= MISSPELT)}


def check_entry(entry: Any, stem: str, ids: set[str], sources: set[str]) -> str | None:
    """What is wrong with one entry, in a line, or None."""
    if not isinstance(entry, dict):
        return "not a mapping of fields"
    if missing := FIELDS - entry.keys():
        return f"missing {', '.join(sorted(missing))}"
    if extra := entry.keys() - FIELDS:
        return f"unknown field {', '.join(sorted(extra))}"
    if entry["id"] != stem:
        return f"id {entry['id']!r} is not the file's name"
    if entry["category"] not in CATEGORIES:
        return f"category {entry['category']!r} is none of {', '.join(CATEGORIES)}"
    for field in ("name", "definition", "definition_de"):
        if not isinstance(entry[field], str) or not entry[field].strip():
            return f"{field} is not a text"
    for field in ("report", "report_de", "negation", "negation_de", "sources", "broader", "lookalikes"):
        if not isinstance(entry[field], list) or not all(isinstance(x, str) and x.strip() for x in entry[field]):
            return f"{field} is not a list of texts"
    if not all(entry[f] and isinstance(entry[f], list) for f in ("report", "report_de", "criteria", "sources")):
        return "an empty report, criteria or sources"
    if not isinstance(entry["aliases"], dict) or not all(
        k in LANGUAGES and isinstance(v, list) and all(isinstance(a, str) and normalise(a) for a in v)
        for k, v in entry["aliases"].items()
    ):
        return "aliases is not {en: [texts], de: [texts]} (quote numbers and yes/no)"
    codes = entry["codes"]
    if not isinstance(codes, dict) or not isinstance(codes.get("scp", ""), str):
        return "codes is not a mapping such as {scp: AFIB, snomed: [...]}"
    snomed = codes.get("snomed", [])
    if not isinstance(snomed, list) or not all(isinstance(c, str) and c.isdigit() for c in snomed):
        return "codes.snomed is not a list of quoted numbers"
    for criterion in entry["criteria"]:
        if not isinstance(criterion, dict) or criterion.keys() != {"text", "leads", "source"}:
            return "a criterion needs exactly text, leads and source"
        if not isinstance(criterion["text"], str) or not isinstance(criterion["leads"], list):
            return "a criterion's text is no text or its leads no list"
        if unknown := {str(lead) for lead in criterion["leads"]} - {*LEADS, "all"}:
            return f"criterion {criterion['text']!r} names unknown leads {sorted(unknown)}"
        if criterion["source"] not in sources:
            return f"criterion {criterion['text']!r} has an unknown source {criterion['source']!r}"
    if unknown := set(entry["sources"]) - sources:
        return f"unknown sources {sorted(unknown)}"
    if unknown := {*entry["broader"], *entry["lookalikes"]} - ids:
        return f"broader or lookalikes name unknown concepts {sorted(unknown)}"
    return None
