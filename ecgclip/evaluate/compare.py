"""Two models on the same records, a paired comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.metrics import Labels, difference
from ecgclip.evaluate.results import bootstrap_settings, command, save
from ecgclip.evaluate.scores import load_scores
from ecgclip.files import code_version


def compare(first: str | Path, second: str | Path, out: str | Path | None = None, *, seed: int = 0) -> dict[str, Any]:
    """The figures of the second model less those of the first, with intervals by patient.

    Both are scored on the same resamples: where an interval leaves 0 out, other patients of the same kind would show
    the difference too.

    Parameters
    ----------
    first, second
        A results.json of `zeroshot` or `probe`, or its folder, with scores.npz beside it.
    out
        Folder to write to; None: nothing is written.

    Returns
    -------
    dict
        What `out`/results.json holds.

    Raises
    ------
    EcgclipError
        Where a file is missing, or the two have other records, patients, labels or truth.
    """
    files = [Path(p) / "results.json" if Path(p).is_dir() else Path(p) for p in (first, second)]
    (first_results, first_scores), (second_results, second_scores) = map(load_scores, files)
    for column in ("record", "patient", "concept", "truth"):
        if not np.array_equal(first_scores[column], second_scores[column]):
            raise EcgclipError(f"{files[0]} and {files[1]} cannot be paired: they differ in their {column}s")
    min_positives = first_results.get("least_positives", 5)
    rows, macro = _difference(first_scores, second_scores, min_positives, seed)
    results = {
        "task": "compare",
        **{k: first_results.get(k) for k in ("dataset", "label_set", "fold", "records")},
        "least_positives": min_positives,
        "bootstrap": bootstrap_settings(seed),
        "models": [_model(files[0], first_results), _model(files[1], second_results)],
        "data_sha256": first_results.get("data_sha256"),
        "code_version": code_version(),
        "command": command(),
        "difference": macro,
        "labels": rows,
    }
    return save(out, results)


def _difference(
    first: dict[str, np.ndarray], second: dict[str, np.ndarray], min_positives: int, seed: int
) -> tuple[list[dict[str, Any]], dict[str, list[float]]]:
    """The arrays of two scores.npz → the difference of each label, and of their mean."""
    patients = np.unique(first["patient"], return_inverse=True)[1]
    labels = Labels(first["label"].tolist(), first["concept"].tolist(), {})
    return difference(first["score"], second["score"], first["truth"], patients, labels, min_positives, seed)


def _model(file: Path, results: dict[str, Any]) -> dict[str, Any]:
    """What the comparison says of one of the two."""
    keys = ("task", "naming", "enriched", "leads", "weights_sha256", "macro")
    return {"file": str(file), **{k: results.get(k) for k in keys}}
