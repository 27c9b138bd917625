"""What the knowledge base holds: a concept is one condition with its names, criteria, passages and sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CATEGORIES = (
    "rhythm", "ectopy", "conduction", "pacing", "infarction", "ischemia", "st-t", "hypertrophy", "axis-voltage",
    "electrolyte-drug", "syndrome", "normal", "technical", "beat",
)  # fmt: skip
LANGUAGES = ("en", "de")


@dataclass(frozen=True)
class Source:
    """A guideline or review; it has a `doi` only if that was verified."""

    key: str
    society: str
    title: str
    year: int
    doi: str | None = None

    def __str__(self) -> str:
        return f"{self.society}: {self.title} ({self.year})" + (f", doi:{self.doi}" if self.doi else "")


@dataclass(frozen=True)
class Criterion:
    """One ECG criterion, as text and test.

    Attributes
    ----------
    text
        In words, as the text encoder reads it.
    leads
        The leads it concerns, "all" among them; none of V7 to V9 and the right chest leads.
    source
        The key of its source.
    test
        How it is computed, in the language of `ecgclip.knowledge.criteria`; None if it cannot be.
    role
        "required", "one of NAME", "2 of NAME", "supporting" or "against"; None is "supporting".
    """

    text: str
    leads: tuple[str, ...]
    source: str
    test: str | None = None
    role: str | None = None


@dataclass(frozen=True)
class Passage:
    """A piece of text about a concept: what the text encoder embeds and FAISS searches.

    Attributes
    ----------
    kind
        One of "name", "alias", "report", "criteria" (all in one), "criterion", "definition", "negation".
    """

    concept: str
    kind: str
    text: str
    language: str
    source: str | None = None


@dataclass(frozen=True)
class Concept:
    """A condition, with the fields of its YAML file.

    Attributes
    ----------
    explained_by
        Other conditions that make the criteria unreadable, by their ids, each with the test that tells when, or
        "always": ST elevation means less with a bundle branch block.
    excludes
        Conditions that cannot be said of the same ECG, by their ids; see `KnowledgeBase.excluded`.
    """

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
    explained_by: dict[str, str] = field(default_factory=dict)
    excludes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The name and all aliases, in every language."""
        return [self.name, *sum(self.aliases.values(), [])]

    @property
    def passages(self) -> list[Passage]:
        """All texts about the concept, in a fixed order."""

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

    def codes_of(self, system: str) -> list[str]:
        """Return its codes in `system`: "scp" and "icd10" (one at most), "snomed" or "aha"."""
        codes = self.codes.get(system, [])
        return [codes] if isinstance(codes, str) else codes

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> Concept:
        """Return the concept of a YAML or JSON entry."""
        criteria = tuple(
            Criterion(c["text"], tuple(c["leads"]), c["source"], c.get("test"), c.get("role"))
            for c in entry["criteria"]
        )
        return cls(**{**entry, "criteria": criteria})
