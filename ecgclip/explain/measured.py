"""The criteria of a condition, computed from what was measured: met, unmet, borderline or not measurable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Concept
from ecgclip.knowledge.criteria import CriterionAnswer, Judge, Readings, answer_criteria
from ecgclip.measure.measurement import Measurement

NO_TEST = "not computed"  # the value of a criterion without a test


def measured_criteria(
    concepts: Iterable[Concept],
    measurements: Sequence[Measurement],
    age: float | None = None,
    sex: str | None = None,
    knowledge_base: KnowledgeBase | None = None,
) -> list[dict[str, Any]]:
    """Answer each criterion of conditions by what was measured in a record.

    Parameters
    ----------
    concepts
        The conditions.
    measurements
        One `Measurement` for each window. Over several windows a number is the median, a count of beats the sum, a
        pause the longest, and yes or no what most windows say.
    age
        Years; None if unknown.
    sex
        "female", "male" or None.
    knowledge_base
        The conditions that criteria may ask for; by default none, and such a criterion is not measurable.

    Returns
    -------
    list of dict
        One for each criterion, ready for JSON:

        - concept: id of the condition
        - text: the criterion in words
        - role: required, one of NAME, 2 of NAME, supporting or against
        - source: key of its source
        - test: how it is computed; None if it is not
        - answer: met, unmet, borderline or not measurable
        - value: the measured values beside their thresholds, in words
        - margin: signed distance from the threshold in units of three half-widths; None if not measurable
    """
    judge = Judge(Readings.of_record(measurements, age, sex), knowledge_base.concepts if knowledge_base else None)
    return [_row(concept, each) for concept in concepts for each in answer_criteria(judge, concept)]


def _row(concept: Concept, answered: CriterionAnswer) -> dict[str, Any]:
    criterion, answer = answered.criterion, answered.answer
    return {
        "concept": concept.id,
        "text": criterion.text,
        "role": criterion.role or "supporting",
        "source": criterion.source,
        "test": criterion.test,
        "answer": answer.verdict if answer else "not measurable",
        "value": answer.value if answer else NO_TEST,
        "margin": None if answer is None or math.isnan(answer.margin) else round(answer.margin, 3),
    }
