"""Results of an evaluation: what made them, and how they are written."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.evaluate.bootstrap import RESAMPLES
from ecgclip.evaluate.pages import write_page
from ecgclip.files import code_version, write_atomic, write_json
from ecgclip.model.weights import weights_hash


def provenance(weights: str | Path | None, cases: Sequence[Case], seed: int) -> dict[str, Any]:
    """What is needed to make the results again: the bootstrap, hashes of weights and data, code version and command."""
    return {
        "bootstrap": bootstrap_settings(seed),
        "weights_sha256": weights_hash(weights),
        "data_sha256": cases_hash(cases),
        "code_version": code_version(),
        "command": command(),
    }


def bootstrap_settings(seed: int) -> dict[str, Any]:
    """How the intervals were made."""
    return {"resamples": RESAMPLES, "by": "patient", "seed": seed}


def command() -> str:
    """The command line, with DIR for the output folder: the same figures give the same file in any folder."""
    words = sys.argv[1:]
    for i, word in enumerate(words):
        if word in ("-o", "--output") and i + 1 < len(words):
            words[i + 1] = "DIR"
        elif word.startswith("--output="):
            words[i] = "--output=DIR"
    return shlex.join(["ecgclip", *words])


def cases_hash(cases: Sequence[Case]) -> str:
    """SHA-256 of the signal files of the cases and of their labels."""
    digest = hashlib.sha256()
    last = ""
    for case in cases:
        # stretches of one record follow each other: its files count once
        if case.path != last:
            stem = Path(case.path)
            for file in sorted(stem.parent.glob(stem.name + ".*")):
                digest.update(file.read_bytes())
        last = case.path
        labels = sorted(case.annotated) if case.annotated else sorted(case.statements.items())
        digest.update(json.dumps(labels).encode())
    return digest.hexdigest()


def save(out: str | Path | None, results: dict[str, Any], scores: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write results.json, the page results.md and its figures.

    Parameters
    ----------
    out
        The folder, made where there is none; None: nothing is written.
    scores
        Arrays for scores.npz.

    Returns
    -------
    dict
        `results`, unchanged.
    """
    if out is not None:
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        if scores is not None:
            packed = io.BytesIO()
            np.savez_compressed(packed, **scores)
            write_atomic(out / "scores.npz", packed.getvalue())
        write_json(out / "results.json", results)
        write_page(out, results)
    return results
