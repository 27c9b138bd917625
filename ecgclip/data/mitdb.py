"""The MIT-BIH Arrhythmia Database: half-hour records of two leads with annotated heartbeats and rhythms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.knowledge.base import KnowledgeBase

# The inter-patient split of de Chazal et al. (2004), without the four paced records, as AAMI EC57 asks
DS1 = [
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
]  # fmt: skip
DS2 = [
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
]  # fmt: skip
FOLD_OF = {record: 1 for record in DS1} | {record: 2 for record in DS2}
# codes of the beat and rhythm annotations
BEATS = {
    "N": "normal-beat", "L": "left-bundle-branch-block-beat", "R": "right-bundle-branch-block-beat",
    "A": "premature-atrial-contraction", "a": "aberrated-atrial-premature-beat", "J": "nodal-premature-beat",
    "S": "supraventricular-premature-beat", "V": "premature-ventricular-contraction", "F": "fusion-beat",
    "e": "atrial-escape-beat", "j": "nodal-escape-beat", "E": "ventricular-escape-beat", "/": "paced-beat",
    "f": "fusion-of-paced-and-normal-beat", "Q": "unclassifiable-beat",
}  # fmt: skip
RHYTHMS = {
    "(N": "sinus-rhythm", "(AFIB": "atrial-fibrillation", "(AFL": "atrial-flutter", "(B": "ventricular-bigeminy",
    "(T": "ventricular-trigeminy", "(P": "paced-rhythm", "(BII": "second-degree-av-block", "(SBR": "sinus-bradycardia",
    "(SVTA": "supraventricular-tachycardia", "(VT": "ventricular-tachycardia", "(NOD": "junctional-rhythm",
    "(IVR": "idioventricular-rhythm", "(VFL": "ventricular-flutter", "(PREX": "ventricular-preexcitation",
    "(AB": "atrial-bigeminy",
}  # fmt: skip
PREMATURE = ("premature-ventricular-contraction", "premature-atrial-contraction")
STRETCH_S = 10


def mitdb(root: Path, kb: KnowledgeBase, every_s: float = 20.0) -> list[Case]:
    """Load the MIT-BIH Arrhythmia Database.

    Parameters
    ----------
    root : Path
        The folder with the .hea, .dat and .atr files.
    kb : KnowledgeBase
        Knows what is broader than a rhythm.
    every_s : float
        A case is a stretch of 10 s; one begins every so many s.

    Returns
    -------
    list of Case
        Each with its beats and, where one rhythm fills the stretch, that rhythm. Fold 1 is DS1, 2 is DS2, else 0.
    """
    headers = [header for header in sorted(root.glob("*.hea")) if header.with_suffix(".atr").exists()]
    return [case for header in headers for case in _stretches(header.with_suffix(""), kb, every_s)]


def _stretches(record: Path, kb: KnowledgeBase, every_s: float) -> Iterator[Case]:
    """The cases of a record."""
    import wfdb

    notes = wfdb.rdann(str(record), "atr")
    seconds = notes.sample / notes.fs
    beats = [(t, BEATS[symbol]) for t, symbol in zip(seconds, notes.symbol, strict=True) if symbol in BEATS]
    rhythms = _rhythms(seconds, notes.aux_note)
    for start in np.arange(0, seconds[-1] - STRETCH_S, every_s):
        stop = start + STRETCH_S
        inside = tuple((float(t - start), concept) for t, concept in beats if start <= t < stop)
        filling = next((rhythm for first, last, rhythm in rhythms if rhythm and first <= start and stop <= last), None)
        yield Case(
            "mitdb",
            str(record),
            "201" if record.name == "202" else record.name,  # the same patient
            _statements(kb, filling, {concept for _, concept in inside}),
            fold=FOLD_OF.get(record.name, 0),
            start_s=float(start),
            stop_s=float(stop),
            beats=inside,
        )


def _rhythms(seconds: np.ndarray, notes: list[str]) -> list[tuple[float, float, str | None]]:
    """Rhythm annotations → first and last s of each rhythm, and its concept, None where that is not known."""
    changes = [(t, RHYTHMS.get(note.rstrip("\x00"))) for t, note in zip(seconds, notes, strict=True) if note[:1] == "("]
    ends = [t for t, _ in changes[1:]] + [np.inf]
    return [(first, last, rhythm) for (first, rhythm), last in zip(changes, ends, strict=False)]


def _statements(kb: KnowledgeBase, rhythm: str | None, beats: set[str]) -> dict[str, bool]:
    """What is known of a stretch with one rhythm, or None, and these kinds of beats."""
    statements = {}
    if rhythm:
        statements = {r: False for r in RHYTHMS.values()} | {c: True for c in {rhythm} | kb.ancestors(rhythm)}
    return statements | {concept: concept in beats for concept in PREMATURE}
