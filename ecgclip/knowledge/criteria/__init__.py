"""Criteria that are computed: a small language that a cardiologist can read, and what a measurement answers to it.

    text ──parser──▶ tree ──judge, with the readings of a record──▶ met, unmet, borderline or not measurable

`quantities`, `limits` and `named` hold the words of the language. docs/knowledge.md explains it.
"""

from ecgclip.knowledge.criteria.answers import Answer, CriterionAnswer, answer, answer_criteria
from ecgclip.knowledge.criteria.describe import DescribedTest, describe_test
from ecgclip.knowledge.criteria.evidence import FEATURES, Evidence, explained, explanations, weigh
from ecgclip.knowledge.criteria.judge import Judge
from ecgclip.knowledge.criteria.parser import parse_test
from ecgclip.knowledge.criteria.readings import Readings
from ecgclip.knowledge.criteria.roles import parse_role

__all__ = [
    "parse_test",
    "parse_role",
    "describe_test",
    "DescribedTest",
    "Readings",
    "Judge",
    "answer",
    "Answer",
    "answer_criteria",
    "CriterionAnswer",
    "FEATURES",
    "Evidence",
    "explained",
    "explanations",
    "weigh",
]
