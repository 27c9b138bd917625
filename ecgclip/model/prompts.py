"""Prompts: what a label is asked with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgclip.files import asset_path
from ecgclip.knowledge.concepts import Concept, Passage

DENIAL = re.compile(r"no (?!.*, or )", re.IGNORECASE)  # a criterion that begins so, and offers nothing else, denies
# "Abnormal" is no one thing to be seen: what a normal ECG is not, or a rhythm that PTB-XL's cardiologists may call otherwise normal. AUROC on
# the validation split for a record that is not normal or has such a rhythm 0.958, by the first alone 0.954, by a vector of its own 0.677.
NORMAL, ABNORMAL, OTHER_RHYTHMS = "normal-ecg", "abnormal-ecg", ("supraventricular-arrhythmia", "paced-rhythm")
UNKNOWN, UNTRAINED = "not in the knowledge base: plain prompt", "not trained: by its criteria"  # notes
MAX_LABEL = 500  # characters; a longer text is no label


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a label became: the text vector asked with, and where it came from.

    A label of several conditions has them as `parts`, which are all asked for, or any of them; `combine` gives its value from theirs.
    """

    label: str
    vector: np.ndarray  # float32 (dim,); of what is denied, where it is; with parts, the direction of all together
    concept: Concept | None
    passages: tuple[Passage, ...]
    note: str = ""
    denied: bool = False
    parts: tuple[Prompt, ...] = ()
    any_of: bool = False

    @property
    def leaves(self) -> tuple[Prompt, ...]:
        """Its conditions, in the order in which they were typed."""
        return tuple(leaf for part in self.parts for leaf in part.leaves) if self.parts else (self,)


def combine(prompts: Sequence[Prompt], values: np.ndarray, whole: float) -> np.ndarray:
    """Values (..., leaves) of all leaves of the prompts, one after the other → of the prompts (..., n).

    What is denied has `whole` less the value (1: probabilities, 0: similarities); *and* is the minimum, *or* the maximum.
    """
    at = iter(range(values.shape[-1]))

    def value(prompt: Prompt) -> np.ndarray:
        if not prompt.parts:
            own = values[..., next(at)]
            return whole - own if prompt.denied else own
        return (np.max if prompt.any_of else np.min)([value(part) for part in prompt.parts], axis=0)

    return np.stack([value(prompt) for prompt in prompts], -1)


def _together(parts: Sequence[Prompt]) -> np.ndarray:
    """The direction of all parts, what is denied away from it."""
    total = np.sum([-part.vector if part.denied else part.vector for part in parts], 0)
    return total / max(np.linalg.norm(total), 1e-6)


def leaf_vectors(prompts: Sequence[Prompt]) -> np.ndarray:
    """float32 (leaves, dim), as `combine` takes their values."""
    return np.stack([leaf.vector for prompt in prompts for leaf in prompt.leaves])


def prompt_settings() -> dict[str, Any]:
    """prompts/templates.yaml."""
    import yaml

    if not _SETTINGS:
        _SETTINGS.update(yaml.safe_load(asset_path("prompts/templates.yaml").read_text(encoding="utf-8")))
    return _SETTINGS


_SETTINGS: dict[str, Any] = {}


def _shown(concept: Concept) -> tuple[Passage, ...]:
    """The passages that tell a user what a label was taken for."""
    return tuple(p for p in concept.passages if p.kind in ("definition", "criterion") and p.language == "en")
