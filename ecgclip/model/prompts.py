"""Prompts: the text vectors of a label, and how the values of its conditions are combined."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ecgclip.files import asset_path, parse_yaml
from ecgclip.knowledge.concepts import Concept, Passage
from ecgclip.knowledge.criteria.tree import Test

# Notes of prompts
UNKNOWN = "not in the knowledge base: plain prompt"
UNTRAINED = "not trained: by its criteria"
SIMULATED = "trained on simulated ECGs alone"
MEASURED = "by what is measured alone"


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is asked for a label: one condition, or several as `parts`.

    Attributes
    ----------
    label
        As it was typed.
    vector : float32 (dim,)
        For a denial, that of the denied condition; for several conditions, their common direction.
    concept
        What the knowledge base knows of it, if anything.
    passages
        Passages that show what the label was taken for.
    note
        How the label was understood, if that is not obvious.
    denied
        The absence of the condition is asked for.
    parts
        The conditions of a label that names several; see `combine`.
    any_of
        One of the parts is enough; else all are asked for.
    test
        What is measured for a label that is a number, such as "QTc > 500 ms".
    """

    label: str
    vector: np.ndarray
    concept: Concept | None
    passages: tuple[Passage, ...]
    note: str = ""
    denied: bool = False
    parts: tuple[Prompt, ...] = ()
    any_of: bool = False
    test: Test | None = None

    @property
    def leaves(self) -> tuple[Prompt, ...]:
        """Its single conditions, in the order in which they were typed."""
        return tuple(leaf for part in self.parts for leaf in part.leaves) if self.parts else (self,)

    @property
    def meaning(self) -> str:
        """What was understood, such as "and: atrial fibrillation; not left bundle branch block"."""
        if self.parts:
            parts = [f"({part.meaning})" if part.parts else part.meaning for part in self.parts]
            return f"{'or' if self.any_of else 'and'}: {'; '.join(parts)}"
        name = self.concept.name if self.concept else str(self.test) if self.test else self.label
        return f"not {name}" if self.denied else name

    def trained(self, concepts: Collection[str] | None) -> bool | None:
        """Return whether training had ECGs of all its conditions; None if that is unknown.

        concepts : ids of the concepts that training had ECGs of; None if the model does not say
        """
        answers: list[bool | None] = []
        for leaf in self.leaves:
            if leaf.concept:
                answers.append(None if concepts is None else leaf.concept.id in concepts)
            else:
                answers.append(False if concepts and UNKNOWN in leaf.note else None)
        return False if False in answers else None if None in answers else True


def combine(prompts: Sequence[Prompt], values: np.ndarray, whole: float) -> np.ndarray:
    """Combine the values of single conditions into those of prompts: *and* is the minimum, *or* the maximum.

    Parameters
    ----------
    prompts
        Prompts of n labels.
    values : (…, leaves)
        Of all leaves of the prompts, one after the other.
    whole
        The value of a denied condition is subtracted from this: 1 for probabilities, 0 for similarities.

    Returns
    -------
    (…, n)
    """
    columns = iter(range(values.shape[-1]))

    def value(prompt: Prompt) -> np.ndarray:
        if not prompt.parts:
            column = values[..., next(columns)]
            return whole - column if prompt.denied else column
        return (np.max if prompt.any_of else np.min)([value(part) for part in prompt.parts], axis=0)

    return np.stack([value(prompt) for prompt in prompts], -1)


def leaf_vectors(prompts: Sequence[Prompt]) -> np.ndarray:
    """Return the vectors of all leaves, float32 (leaves, dim), in the order in which `combine` takes their values."""
    return np.stack([leaf.vector for prompt in prompts for leaf in prompt.leaves])


@cache
def prompt_settings() -> dict[str, Any]:
    """Return the contents of prompts/templates.yaml: templates of names, and shares of the kinds of passages."""
    return parse_yaml(asset_path("prompts/templates.yaml").read_bytes())
