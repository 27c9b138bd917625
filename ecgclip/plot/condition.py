"""A label as a drawing shows it: where its criteria look, and what was measured there, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.explain.measured import explained_away, judged_criteria, measured_test, record_judge
from ecgclip.explain.places import Place, condition_places, places
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Concept
from ecgclip.knowledge.criteria.tree import Test
from ecgclip.knowledge.numbers import number_test
from ecgclip.measure.examined import Examined

SIGNS = {"met": "●", "borderline": "◐", "unmet": "○", "not measurable": "–"}


def understood(label: str, base: KnowledgeBase) -> Concept | Test:
    """What a label means: a condition of the knowledge base, or a number as in "QTc > 500".

    Raises
    ------
    EcgclipError
        It is neither.
    """
    found = number_test(label) or base.find(label) or base.find_misspelt(label) or base.find_within(label)
    if found is None:
        raise EcgclipError(f"{label[:60]!r} is not in the knowledge base, and no number (see: ecgclip kb list)")
    return found


def condition_of(label: str, examined: Examined, base: KnowledgeBase, note: str) -> tuple[set[Place], list[str]]:
    """Where the criteria of a label look, and lines of text; the first is the heading, which ends in the note."""
    judge, found = record_judge(examined, base), understood(label, base)
    if not isinstance(found, Concept):
        return places(judge, found), [label + note, *_lines([measured_test(label, found, judge)])]
    heading = found.name if label.casefold() == found.name.casefold() else f"{label}: {found.name}"
    others = [f"explained by {row['by']}: what is met counts less" for row in explained_away(found, judge)]
    return condition_places(judge, found), [heading + note, *_lines(judged_criteria([found], judge)), *others]


def _lines(criteria: Sequence[dict[str, Any]]) -> Iterator[str]:
    for each in criteria:
        role = "" if each["role"] == "supporting" else f" ({each['role']})"
        yield f"{SIGNS[each['answer']]} {each['answer']}: {each['text']}{role}: {each['value']}"
