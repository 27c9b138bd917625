"""A knowledge base that never mentions some of its conditions, to test how a model answers for what it never learnt."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ecgclip.knowledge.concepts import Concept, Criterion


def name_pattern(concepts: Iterable[Concept]) -> re.Pattern[str]:
    """Return a pattern that finds any name or alias of the concepts, as whole words."""
    names = {name for concept in concepts for name in concept.names}
    longest_first = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)", re.IGNORECASE)


def hide(
    concepts: Mapping[str, Concept], removed: Collection[str], hidden_names: re.Pattern[str]
) -> dict[str, Concept]:
    """Return the other concepts, without the texts and references that mention what is hidden.

    Parameters
    ----------
    concepts
        All concepts by their id.
    removed
        Ids of the concepts that are left out.
    hidden_names
        Finds the names that no text may mention.
    """
    return {c.id: _redacted(c, removed, hidden_names) for c in concepts.values() if c.id not in removed}


def _redacted(concept: Concept, removed: Collection[str], hidden_names: re.Pattern[str]) -> Concept:
    def allowed(texts: Iterable[str]) -> list[str]:
        return [text for text in texts if not hidden_names.search(text)]

    return replace(
        concept,
        aliases={language: allowed(texts) for language, texts in concept.aliases.items()},
        broader=[c for c in concept.broader if c not in removed],
        lookalikes=[c for c in concept.lookalikes if c not in removed],
        definition=(allowed([concept.definition]) or [concept.name])[0],
        definition_de=(allowed([concept.definition_de]) or [concept.name])[0],
        criteria=tuple(_without_test_of(c, removed) for c in concept.criteria if not hidden_names.search(c.text)),
        explained_by={
            c: test for c, test in concept.explained_by.items() if c not in removed and not _asks(test, removed)
        },
        excludes=[c for c in concept.excludes if c not in removed],
        report=allowed(concept.report) or [f"{concept.name}."],
        report_de=allowed(concept.report_de) or [f"{concept.name}."],
        negation=allowed(concept.negation),
        negation_de=allowed(concept.negation_de),
    )


def _without_test_of(criterion: Criterion, removed: Collection[str]) -> Criterion:
    """The criterion, without a test that asks for a hidden condition."""
    return replace(criterion, test=None) if criterion.test and _asks(criterion.test, removed) else criterion


def _asks(test: str, removed: Collection[str]) -> bool:
    return any(asked in removed for asked in re.findall(r"\bis\s+([a-z0-9-]+)", test))
