"""The MIT-BIH Arrhythmia Database."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.knowledge.base import KnowledgeBase

# The inter-patient split of MIT-BIH by de Chazal et al. (2004), without the four paced records, as AAMI EC57 asks
DS1 = [
    "101",
    "106",
    "108",
    "109",
    "112",
    "114",
    "115",
    "116",
    "118",
    "119",
    "122",
    "124",
    "201",
    "203",
    "205",
    "207",
    "208",
    "209",
    "215",
    "220",
    "223",
    "230",
]
DS2 = [
    "100",
    "103",
    "105",
    "111",
    "113",
    "117",
    "121",
    "123",
    "200",
    "202",
    "210",
    "212",
    "213",
    "214",
    "219",
    "221",
    "222",
    "228",
    "231",
    "232",
    "233",
    "234",
]
# MIT-BIH beat and rhythm annotations
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
    "(IVR": "idioventricular-rhythm", "(VFL": "ventricular-flutter", "(PREX": "ventricular-preexcitation", "(AB": "atrial-bigeminy",
}  # fmt: skip


def mitdb(root: Path, kb: KnowledgeBase, every_s: float = 20.0) -> list[Case]:
    """MIT-BIH Arrhythmia Database: a 10 s stretch every `every_s`, with its beats and, where one rhythm fills it, that rhythm.

    fold: 1 and 2 for the record sets DS1 and DS2, else 0.
    """
    import wfdb

    cases = []
    for header in sorted(root.glob("*.hea")):
        if not header.with_suffix(".atr").exists():
            continue
        record = str(header.with_suffix(""))
        notes = wfdb.rdann(record, "atr")
        seconds = notes.sample / notes.fs
        changes = [
            (t, RHYTHMS.get(n.rstrip("\x00")))
            for t, n in zip(seconds, notes.aux_note, strict=True)
            if n.startswith("(")
        ]
        beats = [(t, BEATS[s]) for t, s in zip(seconds, notes.symbol, strict=True) if s in BEATS]
        for start in np.arange(0, seconds[-1] - 10, every_s):
            inside = tuple((float(t - start), b) for t, b in beats if start <= t < start + 10)
            until = [t for t, _ in changes[1:]] + [np.inf]
            filling = [r for (t, r), end in zip(changes, until, strict=False) if r and t <= start and start + 10 <= end]
            kinds = {b for _, b in inside}
            statements = {}
            if filling:
                statements = {r: False for r in RHYTHMS.values()} | {
                    c: True for c in {filling[0]} | kb.ancestors(filling[0])
                }
            for concept in ("premature-ventricular-contraction", "premature-atrial-contraction"):
                statements[concept] = concept in kinds
            cases.append(
                Case(
                    "mitdb",
                    record,
                    "201" if header.stem == "202" else header.stem,  # the same man
                    statements,
                    fold=1 if header.stem in DS1 else 2 if header.stem in DS2 else 0,
                    start_s=float(start),
                    stop_s=float(start + 10),
                    beats=inside,
                )
            )
    return cases
