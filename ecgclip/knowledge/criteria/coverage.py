"""How many of the leads that the criteria of a condition ask for were recorded.

One lead shows atrial fibrillation as well as twelve do, but only half of what makes an ECG normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.knowledge.criteria.judge import Judge, tree_of, tree_of_named
from ecgclip.knowledge.criteria.parser import leads_of
from ecgclip.knowledge.criteria.quantities import LEADS_READ
from ecgclip.knowledge.criteria.tree import And, Is, Named, Not, Or, Test, Where, quantities

if TYPE_CHECKING:
    from ecgclip.knowledge.concepts import Concept

ANY_LEAD = len(LEADS)  # the last of a row of shares: what any lead shows


def coverage(judge: Judge, concept: Concept) -> np.ndarray:
    """The share of the leads asked for that each record has, 0 to 1 (n,); what any lead shows is all there.

    The tests of a criterion count alike, and so do the criteria of a condition. A wider condition without a test of its
    own asks for what the narrower ones ask for.
    """
    recorded = judge.readings.recorded
    if recorded.all():
        return np.ones(len(recorded))
    if concept.id not in judge.lead_shares:
        judge.lead_shares[concept.id] = _of_concept(judge, concept, ())
    shares = judge.lead_shares[concept.id]
    return np.ones(len(recorded)) if shares is None else recorded @ shares[:ANY_LEAD] + shares[ANY_LEAD]


def _of_concept(judge: Judge, concept: Concept, asking: tuple[str, ...]) -> np.ndarray | None:
    """What each lead counts for a condition, (LEADS + 1,), in sum 1; None: nothing is asked.

    asking: the conditions whose tests led here. In a circle they are not asked again.
    """
    here = (*asking, concept.id)
    tests = [list(_of_test(judge, tree_of(c.test), here)) for c in concept.criteria if c.test]
    found = [np.mean(parts, axis=0) for parts in tests if parts]
    if not found and not asking:
        kinds = [_of_concept(judge, kind, here) for kind in judge.narrower(concept.id)]
        found = [shares for shares in kinds if shares is not None]
    return np.mean(found, axis=0) if found else None


def _of_test(judge: Judge, test: Test, asking: tuple[str, ...]) -> Iterator[np.ndarray]:
    """What each lead counts for each of the simplest tests in a test."""
    if isinstance(test, And | Or):
        for part in test.tests:
            yield from _of_test(judge, part, asking)
    elif isinstance(test, Not):
        yield from _of_test(judge, test.test, asking)
    elif isinstance(test, Named):
        yield from _of_test(judge, tree_of_named(test.name), asking)
    elif isinstance(test, Where):
        yield _alike(leads_of(test.places))
    elif isinstance(test, Is):
        other = judge.concept(test.concept)
        if other and other.id not in asking and (shares := _of_concept(judge, other, asking)) is not None:
            yield shares
    else:
        named = [(q.lead,) if q.lead else LEADS_READ.get(q.name, ()) for q in quantities(test)]
        yield _alike(tuple(dict.fromkeys(sum(named, ()))))


def _alike(leads: tuple[str, ...]) -> np.ndarray:
    """Leads that count alike; without any, what any lead shows."""
    shares = np.zeros(ANY_LEAD + 1)
    shares[[LEADS.index(lead) for lead in leads] or [ANY_LEAD]] = 1 / max(len(leads), 1)
    return shares
