"""Explanations: what lies behind a score, which criteria are met, and an ECG described in sentences."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.explain.evidence import explain as explain
    from ecgclip.explain.evidence import summary as summary
    from ecgclip.explain.measured import measured_criteria as measured_criteria
    from ecgclip.explain.sentences import Sentence as Sentence
    from ecgclip.explain.sentences import describe as describe

__all__ = ["Sentence", "describe", "explain", "measured_criteria", "summary"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "measured_criteria": "ecgclip.explain.measured",
        "explain": "ecgclip.explain.evidence",
        "summary": "ecgclip.explain.evidence",
        "Sentence": "ecgclip.explain.sentences",
        "describe": "ecgclip.explain.sentences",
    },
)
