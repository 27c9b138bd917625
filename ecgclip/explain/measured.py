"""The criteria of a condition, computed from what was measured: met, unmet, borderline or not measurable."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Concept
from ecgclip.knowledge.criteria import Answer, CriterionAnswer, Judge, Readings, answer, answer_criteria, explanations
from ecgclip.knowledge.criteria.tree import Test
from ecgclip.measure.examined import Examined
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
    return judged_criteria(concepts, judge)


def record_judge(examined: Examined, knowledge_base: KnowledgeBase) -> Judge:
    """The judge of a whole record, with the age and sex of its patient."""
    return Judge(Readings.of_examined(examined), knowledge_base.concepts)


def judged_criteria(concepts: Iterable[Concept], judge: Judge) -> list[dict[str, Any]]:
    """The same by a judge of one record."""
    return [_row(concept, each) for concept in concepts for each in answer_criteria(judge, concept)]


def explained_away(concept: Concept, judge: Judge) -> list[dict[str, Any]]:
    """The conditions that explain what was measured for this one, likeliest first.

    Returns
    -------
    list of dict
        concept: id of the condition that is explained; by: id of the one that explains; degree: how far, from a half
        up to 1.
    """
    degrees = {other: degree.item() for other, degree in explanations(judge, concept).items()}
    likely = sorted((other for other, degree in degrees.items() if degree >= 0.5), key=lambda other: -degrees[other])
    return [{"concept": concept.id, "by": other, "degree": round(degrees[other], 3)} for other in likely]


def measured_test(label: str, test: Test, judge: Judge) -> dict[str, Any]:
    """Answer a label that is a number, such as "QTc > 500"; the keys are those of `measured_criteria`."""
    return {"concept": None, "text": label, "role": "required", "source": None, "test": str(test)} | _answer(
        answer(judge, test)
    )


def _row(concept: Concept, answered: CriterionAnswer) -> dict[str, Any]:
    criterion = answered.criterion
    return {
        "concept": concept.id,
        "text": criterion.text,
        "role": criterion.role or "supporting",
        "source": criterion.source,
        "test": criterion.test,
        **_answer(answered.answer),
    }


def _answer(given: Answer | None) -> dict[str, Any]:
    return {
        "answer": given.verdict if given else "not measurable",
        "value": given.value if given else NO_TEST,
        "margin": None if given is None or math.isnan(given.margin) else round(given.margin, 3),
    }
