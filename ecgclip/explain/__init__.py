"""Explanations: what lies behind a score, and an ECG described in sentences."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.explain.evidence import explain as explain
    from ecgclip.explain.evidence import summary as summary
    from ecgclip.explain.sentences import Sentence as Sentence
    from ecgclip.explain.sentences import describe as describe

__all__ = ["Sentence", "describe", "explain", "summary"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "explain": "ecgclip.explain.evidence",
        "summary": "ecgclip.explain.evidence",
        "Sentence": "ecgclip.explain.sentences",
        "describe": "ecgclip.explain.sentences",
    },
)
