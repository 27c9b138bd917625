"""What the model returns: embeddings, scores and results."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ecgclip.ecg import ECG
from ecgclip.knowledge.concepts import Passage
from ecgclip.measure.examined import Examined

Excluded: TypeAlias = Callable[[str], Set[str]]  # id of a concept → ids of those that it excludes
# What is stated only beside nothing that excludes it, however probable it is: missing a finding costs more than a false
# alarm
YIELDS = {"normal-ecg", "sinus-rhythm"}
Record: TypeAlias = str | os.PathLike | ECG  # the path of a record, or an ECG that was read already


@dataclass(frozen=True)
class Score:
    """The answer for one label and one record.

    Attributes
    ----------
    label
        As it was asked.
    concept
        Id in the knowledge base; None for a denial, several conditions or an unknown label.
    probability
        How likely the record shows it, by the mean of its windows; NaN for a number that cannot be measured.
    similarity
        Cosine of the record and the label.
    max_probability
        The highest of the record and its windows; softmax does not change it.
    burden
        Share of windows at or above the model's threshold; softmax does not change it.
    trained
        Whether training had ECGs of it; None if unknown, or if the recording itself decides.
    passages
        Passages of the knowledge base that the label was taken for.
    window_similarity, window_probability
        Cosine of each window and the label, and how likely the window shows it; softmax does not change it.
    note
        How the label was understood, if that is not obvious.
    by_vector, by_criteria
        The probability by the vector of the ECG alone, and by the measured criteria alone; None if there are none, or
        none can be measured.
    observed
        The share of validation ECGs that had the condition among those that scored about so, as a 95 % interval; None
        if training had no ECGs of it, if the recording itself decides, and with softmax.
    """

    label: str
    concept: str | None
    probability: float
    similarity: float
    max_probability: float
    burden: float
    trained: bool | None = None
    passages: tuple[Passage, ...] = ()
    window_similarity: tuple[float, ...] = ()
    window_probability: tuple[float, ...] = ()
    note: str = ""
    by_vector: float | None = None
    by_criteria: float | None = None
    observed: tuple[float, float] | None = None


@dataclass(frozen=True)
class Result:
    """The scores of one record, in the order asked for; `result["AF"]` is the score of that label.

    Attributes
    ----------
    record
        Its path, without .hea.
    leads
        Leads of the recording.
    windows
        Start of each window, s.
    scores
        One for each label.
    notes
        What was assumed, repaired or masked.
    seconds
        Length of the recording.
    used_s
        Seconds of it that the scores rest on.
    """

    record: str
    leads: tuple[str, ...]
    windows: tuple[float, ...]
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    used_s: float = 0.0

    def __getitem__(self, label: str) -> Score:
        for score in self.scores:
            if score.label == label:
                return score
        raise KeyError(label)

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of this record in the output of `ecgclip classify --format json`."""
        keys = ["label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note"]
        keys += ["by_vector", "by_criteria", "observed"]
        return {
            "record": self.record,
            "leads": list(self.leads),
            "windows": list(self.windows),
            "seconds": self.seconds,
            "used_s": self.used_s,
            "notes": list(self.notes),
            "scores": [{key: _json_number(getattr(score, key)) for key in keys} for score in self.scores],
        }


@dataclass(frozen=True, eq=False)
class Embedding(Examined):
    """A recording and its vectors, all of unit length.

    Attributes
    ----------
    rhythm : float32 (windows, dim)
    beats
        For each window float32 (beats, dim).
    """

    rhythm: np.ndarray
    beats: tuple[np.ndarray, ...]

    @property
    def vector(self) -> np.ndarray:
        """The vector of the whole record, float32 (dim,): the mean of its windows, of unit length."""
        return unit(self.rhythm.mean(0))


def ranking(
    scores: Sequence[Score],
    top: int | None,
    answerable: bool = False,
    excluded: Excluded = lambda concept: frozenset(),
    threshold: float = math.inf,
) -> list[int]:
    """Return the places of the most probable scores, best first; of two that exclude each other only one.

    It is the more probable one. But a normal ECG and sinus rhythm give way to whatever reaches the threshold, as in a
    description.

    Parameters
    ----------
    scores
        Scores of one record.
    top
        How many; None for all.
    answerable
        Leave out conditions that training had no ECGs of.
    excluded
        Id of a concept → ids of the concepts that it excludes; by default none.
    threshold
        Probability from which on a description states a condition.
    """
    places = [i for i, score in enumerate(scores) if not (answerable and score.trained is False)]
    best = sorted(places, key=lambda i: (math.isnan(scores[i].probability), -scores[i].probability))
    kept: set[int] = set()
    ruled_out: set[str] = set()
    for i in sorted(best, key=lambda i: (not scores[i].probability >= threshold, scores[i].concept in YIELDS)):
        if concept := scores[i].concept:
            if concept in ruled_out:
                continue
            ruled_out |= excluded(concept)
        kept.add(i)
    return [i for i in best if i in kept][:top]


def _json_number(value: Any) -> Any:
    """NaN, which JSON does not have, becomes None."""
    return None if isinstance(value, float) and math.isnan(value) else value


def unit(vector: np.ndarray) -> np.ndarray:
    """Return the vector with length 1."""
    return vector / np.linalg.norm(vector)
