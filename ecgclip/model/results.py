"""What the model makes of a record: vectors, scores, results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ecgclip.ecg import ECG
from ecgclip.knowledge.concepts import Passage
from ecgclip.measure.beats import Beats
from ecgclip.measure.measurement import Measurement
from ecgclip.measure.recording import Recording
from ecgclip.prepare import Prepared

Record: TypeAlias = str | os.PathLike | ECG  # a WFDB header by its path, or what was read from one


@dataclass(frozen=True)
class Score:
    """One label's answer for one record.

    concept: None of a denial, and of several conditions. probability: of the whole record, from the mean of its windows;
    max_probability: the highest, of the record or of a window; burden: the share of windows at or above the model's threshold; neither
    is changed by softmax. trained: whether training had ECGs of it; None where nobody knows, and where the recording itself decides.
    """

    label: str
    concept: str | None  # id in the knowledge base
    probability: float
    similarity: float
    max_probability: float
    burden: float
    trained: bool | None = None
    passages: tuple[Passage, ...] = ()
    window_similarity: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Result:
    """The scores of one record, in the order asked for; `result["AF"]` finds one by its label."""

    record: str
    leads: tuple[str, ...]
    windows: tuple[float, ...]  # start of each, s
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0  # length of the recording
    used_s: float = 0.0  # how much of it the scores rest on

    def __getitem__(self, label: str) -> Score:
        for score in self.scores:
            if score.label == label:
                return score
        raise KeyError(label)

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip classify --format json`."""
        keys = ("label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note")
        return {
            "record": self.record,
            "leads": list(self.leads),
            "windows": list(self.windows),
            "seconds": self.seconds,
            "used_s": self.used_s,
            "notes": list(self.notes),
            "scores": [{k: getattr(s, k) for k in keys} for s in self.scores],
        }


@dataclass(frozen=True, eq=False)
class Examined:
    """One record as the encoder is given it, window by window."""

    record: str
    leads: tuple[str, ...]
    prepared: Prepared
    heartbeats: Beats
    measurements: tuple[Measurement, ...]  # of each window
    recording: Recording
    metadata: dict[str, Any]  # that of the ECG
    notes: tuple[str, ...]

    @property
    def r_peaks(self) -> tuple[np.ndarray, ...]:
        """Of each window, samples at 100 Hz."""
        return self.heartbeats.windows


@dataclass(frozen=True, eq=False)
class Embedding(Examined):
    """One record's vectors. rhythm float32 (windows, dim); beats: for each window (beats, dim); all of unit length."""

    rhythm: np.ndarray
    beats: tuple[np.ndarray, ...]

    @property
    def vector(self) -> np.ndarray:
        """The whole record, float32 (dim,) of unit length: the mean of its windows."""
        return _unit(self.rhythm.mean(0))


def ranking(scores: Sequence[Score], top: int | None, answerable: bool = False) -> list[int]:
    """The places of the `top` most probable scores (None: all), best first; answerable: without what training never had."""
    kept = [i for i, score in enumerate(scores) if not (answerable and score.trained is False)]
    return sorted(kept, key=lambda i: -scores[i].probability)[:top]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
