"""The clinical knowledge base: its concepts and passages, how a label is understood and found in it, and label sets."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.knowledge.base import KnowledgeBase as KnowledgeBase
    from ecgclip.knowledge.concepts import CATEGORIES as CATEGORIES
    from ecgclip.knowledge.concepts import LANGUAGES as LANGUAGES
    from ecgclip.knowledge.concepts import Concept as Concept
    from ecgclip.knowledge.concepts import Criterion as Criterion
    from ecgclip.knowledge.concepts import Passage as Passage
    from ecgclip.knowledge.concepts import Source as Source
    from ecgclip.knowledge.grammar import Condition as Condition
    from ecgclip.knowledge.grammar import parse as parse
    from ecgclip.knowledge.label_sets import label_set_names as label_set_names
    from ecgclip.knowledge.label_sets import load_label_set as load_label_set

__all__ = [
    "KnowledgeBase",
    "Concept",
    "Criterion",
    "Passage",
    "Source",
    "CATEGORIES",
    "LANGUAGES",
    "label_set_names",
    "load_label_set",
    "Condition",
    "parse",
]
__getattr__, __dir__ = attach(
    __name__,
    {
        "KnowledgeBase": "ecgclip.knowledge.base",
        "Concept": "ecgclip.knowledge.concepts",
        "Criterion": "ecgclip.knowledge.concepts",
        "Passage": "ecgclip.knowledge.concepts",
        "Source": "ecgclip.knowledge.concepts",
        "CATEGORIES": "ecgclip.knowledge.concepts",
        "LANGUAGES": "ecgclip.knowledge.concepts",
        "label_set_names": "ecgclip.knowledge.label_sets",
        "load_label_set": "ecgclip.knowledge.label_sets",
        "Condition": "ecgclip.knowledge.grammar",
        "parse": "ecgclip.knowledge.grammar",
    },
)
