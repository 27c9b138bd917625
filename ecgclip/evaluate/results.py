"""Results as they are written, with what made them."""

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
from ecgclip.evaluate.metrics import RESAMPLES
from ecgclip.files import code_version, write_atomic, write_json
from ecgclip.model.weights import weights_hash


def provenance(weights: str | Path | None, cases: Sequence[Case], seed: int) -> dict[str, Any]:
    """What a table of results must name to be made again."""
    return {
        "bootstrap": {"resamples": RESAMPLES, "by": "patient", "seed": seed},
        "weights_sha256": weights_hash(weights),
        "data_sha256": cases_hash(cases),
        "code_version": code_version(),
        "command": command(),
    }


def command() -> str:
    """The command line, without the folder that it writes to: the same figures are the same file wherever they lie."""
    words = sys.argv[1:]
    for i, word in enumerate(words):
        if word in ("-o", "--output") and i + 1 < len(words):
            words[i + 1] = "DIR"
        elif word.startswith("--output="):
            words[i] = "--output=DIR"
    return shlex.join(["ecgclip", *words])


def cases_hash(cases: Sequence[Case]) -> str:
    """SHA-256 over the signal files and labels that were scored."""
    digest = hashlib.sha256()
    last = ""
    for case in cases:
        stem = Path(case.path)
        if case.path != last:  # stretches of one record follow each other
            for file in sorted(stem.parent.glob(stem.name + ".*")):
                digest.update(file.read_bytes())
        last = case.path
        known = sorted(case.annotated) if case.annotated else sorted(case.statements.items())
        digest.update(json.dumps(known).encode())
    return digest.hexdigest()


def save(out: str | Path | None, results: dict[str, Any], scores: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write results.json, scores.npz and the page with its figures into `out`, where it is given → results."""
    if out is not None:
        from ecgclip.evaluate.pages import write_page

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        if scores is not None:
            packed = io.BytesIO()
            np.savez_compressed(packed, **scores)
            write_atomic(out / "scores.npz", packed.getvalue())
        write_json(out / "results.json", results)
        write_page(out, results)
    return results
