"""scores.npz: the score and the truth of every record and label, for comparing two models on the same records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.metrics import Labels


def score_columns(
    cases: Sequence[Case],
    root: Path,
    labels: Labels,
    truth: np.ndarray,
    score: np.ndarray,
    probability: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of scores.npz.

    Parameters
    ----------
    root
        Folder of the data set; records are named by their path below it.
    truth : int8 (records, labels)
        1 present, 0 absent, -1 unknown.
    score, probability : float (records, labels)
    """
    columns = {
        "record": np.array([_record_name(c, root) for c in cases]),
        "patient": np.array([c.person for c in cases]),
        "label": np.array(labels.names),
        "concept": np.array(labels.classes or labels.concepts),
        "truth": truth,
        "score": score.astype(np.float32),
    }
    return columns if probability is None else columns | {"probability": probability.astype(np.float32)}


def load_scores(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A results.json, and the arrays of the scores.npz beside it. Raises EcgclipError where one of them is missing."""
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        with np.load(file.with_name("scores.npz"), allow_pickle=False) as stored:
            scores = {k: stored[k] for k in ("record", "patient", "label", "concept", "truth", "score")}
    except (OSError, ValueError, KeyError) as error:
        raise EcgclipError(
            f"{file}: needs a results.json of `eval zeroshot` or `eval probe` and its scores.npz ({error})"
        ) from None
    return results, scores


def _record_name(case: Case, root: Path) -> str:
    """The path of the record below `root`, and the second at which a stretch of it starts."""
    name = Path(case.path).relative_to(root).as_posix()
    return name if case.stop_s is None else f"{name}@{case.start_s:g}"
