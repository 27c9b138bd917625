"""ECGs of simulated patients to begin with, by the name under which the page offers them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ecgclip.ecg import ECG
from ecgclip.simulate import simulate

SEED = 1


class Example(NamedTuple):
    """Its name in English and German, and its parts: conditions of `ecgclip.simulate`, and for how many seconds."""

    en: str
    de: str
    parts: tuple[tuple[str, int], ...]


def _short(en: str, de: str, condition: str) -> Example:
    return Example(en, de, ((condition, 10),))


EXAMPLES = {
    "normal": _short("Normal ECG", "Normales EKG", "normal"),
    "af": _short("Atrial fibrillation", "Vorhofflimmern", "af"),
    "flutter": _short("Atrial flutter", "Vorhofflattern", "flutter"),
    "pvc": _short("Ventricular premature beats", "Ventrikuläre Extrasystolen", "pvc"),
    "inferior-stemi": _short("Inferior STEMI", "Inferiorer STEMI", "inferior-stemi"),
    "anterior-stemi": _short("Anterior STEMI", "Vorderwand-STEMI", "anterior-stemi"),
    "lbbb": _short("Left bundle branch block", "Linksschenkelblock", "lbbb"),
    "rbbb": _short("Right bundle branch block", "Rechtsschenkelblock", "rbbb"),
    "first-degree-av-block": _short("First-degree AV block", "AV-Block I. Grades", "first-degree-av-block"),
    "complete-av-block": _short("Complete AV block", "AV-Block III. Grades", "complete-av-block"),
    "lvh": _short("Left ventricular hypertrophy", "Linksventrikuläre Hypertrophie", "lvh"),
    "wpw": _short("Pre-excitation (WPW)", "Präexzitation (WPW)", "wpw"),
    "paced": _short("Ventricular pacing", "Ventrikuläre Stimulation", "paced"),
    "long-qt": _short("Long QT interval", "Langes QT-Intervall", "long-qt"),
    "hyperkalemia": _short("Hyperkalaemia", "Hyperkaliämie", "hyperkalemia"),
    "pericarditis": _short("Acute pericarditis", "Akute Perikarditis", "pericarditis"),
    "paroxysm": Example(
        "Five minutes with a paroxysm of atrial fibrillation",
        "Fünf Minuten mit paroxysmalem Vorhofflimmern",
        (("normal", 120), ("af", 100), ("normal", 80)),
    ),
}


def simulate_example(example: str) -> ECG:
    """The ECG of a key of `EXAMPLES`, 12 leads at 500 Hz; the same each time."""
    parts = [simulate(condition, SEED, seconds) for condition, seconds in EXAMPLES[example].parts]
    patient = {key: parts[0].metadata[key] for key in ("age", "sex")}
    signal = np.concatenate([part.signal for part in parts], axis=1)
    return replace(parts[0], signal=signal, metadata=patient)
