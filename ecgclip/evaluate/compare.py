"""Two models on the same records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.metrics import RESAMPLES, Labels, difference
from ecgclip.evaluate.results import command, save
from ecgclip.files import code_version


def compare(one: str | Path, other: str | Path, out: str | Path | None = None, *, seed: int = 0) -> dict[str, Any]:
    """Two results of `zeroshot` or `probe` on the same records and labels: other less one, with intervals by patient.

    Both models are scored on the same resamples, so an interval that excludes 0 is a difference that other patients of this
    kind would show too. one, other: a results.json, or its folder, with scores.npz beside it.
    Raises EcgclipError where there is none, or the two are not of the same records, patients and truth.
    """
    files = [Path(p) / "results.json" if Path(p).is_dir() else Path(p) for p in (one, other)]
    (first, a), (second, b) = (load_scores(file) for file in files)
    for what in ("record", "patient", "concept", "truth"):
        if not np.array_equal(a[what], b[what]):
            raise EcgclipError(f"{files[0]} and {files[1]} cannot be paired: they differ in their {what}s")
    patients = np.unique(a["patient"], return_inverse=True)[1]
    labels = Labels(a["label"].tolist(), a["concept"].tolist(), {})
    least = first.get("least_positives", 5)
    rows, macro = difference(a["score"], b["score"], a["truth"], patients, labels, least, seed)
    results = {
        "task": "compare",
        **{k: first.get(k) for k in ("dataset", "label_set", "fold", "records")},
        "least_positives": least,
        "bootstrap": {"resamples": RESAMPLES, "by": "patient", "seed": seed},
        "models": [
            {
                "file": str(file),
                **{k: r.get(k) for k in ("task", "naming", "enriched", "leads", "weights_sha256", "macro")},
            }
            for file, r in zip(files, (first, second), strict=True)
        ],
        "data_sha256": first.get("data_sha256"),
        "code_version": code_version(),
        "command": command(),
        "difference": macro,
        "labels": rows,
    }
    return save(out, results)


def load_scores(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A results.json and the scores beside it."""
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        with np.load(file.with_name("scores.npz"), allow_pickle=False) as stored:
            scores = {k: stored[k] for k in ("record", "patient", "label", "concept", "truth", "score")}
    except (OSError, ValueError, KeyError) as error:
        raise EcgclipError(
            f"{file}: needs a results.json of `eval zeroshot` or `eval probe` and its scores.npz ({error})"
        ) from None
    return results, scores


def scores_file(
    cases: Sequence[Case],
    root: Path,
    labels: Labels,
    truth: np.ndarray,
    score: np.ndarray,
    probability: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """What scores.npz holds: every record's score, float32 (records, labels), with its truth, 1, 0 or -1 (unknown)."""
    columns = {
        "record": np.array([record_name(c, root) for c in cases]),
        "patient": np.array([c.person for c in cases]),
        "label": np.array(labels.names),
        "concept": np.array(labels.classes or labels.concepts),
        "truth": truth,
        "score": score.astype(np.float32),
    }
    return columns if probability is None else columns | {"probability": probability.astype(np.float32)}


def record_name(case: Case, root: Path) -> str:
    """Its path from the data set's folder, and the second at which a stretch starts."""
    name = Path(case.path).relative_to(root).as_posix()
    return name if case.stop_s is None else f"{name}@{case.start_s:g}"
