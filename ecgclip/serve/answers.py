"""The JSON of the API, where it is not that of the command line: signals, beats, measurements, the knowledge base."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.explain.evidence import summary
from ecgclip.measure.examined import Examined
from ecgclip.plot.marks import Beat, beats_of
from ecgclip.report.ranges import Row, measured_rows, quality_rows, st_rows
from ecgclip.report.words import GERMAN
from ecgclip.serve.held import Case

LONGEST = 60  # s of a signal in one answer
MISSING = -32768  # a sample that is missing, in µV
FINEST = 1000  # Hz: a signal of more is thinned
OLDEST = 90  # years: no older age is told
Json = dict[str, Any]


def opened(case: Case, start: float, seconds: float) -> Json:
    """All that a page shows of an ECG before anything is asked of it."""
    examined, ecg = case.examined, _signal_of(case)
    values, measurements = summary(examined.measurements), examined.measurements
    patient = ecg.metadata["age"], ecg.metadata["sex"]
    mask = examined.prepared.mask
    return {
        "record": case.name,
        "leads": list(ecg.leads),
        "sampling_rate": ecg.sampling_rate,
        "seconds": ecg.seconds,
        "used_s": examined.prepared.used_s,
        "patient": patient_of(ecg.metadata),
        "notes": list(dict.fromkeys(examined.notes)),
        **part(case, start, seconds),
        "windows": windows(examined),
        "measured": [_row(row) for row in measured_rows(values, measurements, *patient)],
        "st": {lead: _row(row) for lead, row in st_rows(values, *patient).items()},
        "quality": [_row(row) for row in quality_rows(measurements)],
        "masked": [lead for lead in ecg.leads if not mask[:, LEADS.index(lead)].all()],
        "derived": list(examined.prepared.derived),
    }


def patient_of(metadata: Json) -> Json:
    """Age, sex, time and device: nothing that tells who it is."""
    age = metadata["age"]
    return {
        "age": age if age is None else min(age, OLDEST),
        "sex": metadata["sex"],
        "time": metadata.get("time") or None,
        "device": metadata.get("device") or None,
    }


def windows(examined: Examined) -> list[Json]:
    """Where the windows of a recording are, with the heart rate in each."""
    prepared = examined.prepared
    return [
        {"start_s": float(start), "seconds": float(length) / 100, "rate": number(m.heart_rate)}
        for start, length, m in zip(prepared.start_s, prepared.length, examined.measurements, strict=True)
    ]


def part(case: Case, start: float, seconds: float) -> Json:
    """The signal of a part of a recording, with its beats. Raises EcgclipError where there is none."""
    ecg = _signal_of(case)
    if not 0 <= start < ecg.seconds:
        raise EcgclipError(f"nothing begins at {start:g} s of {ecg.seconds:g} s")
    if not 0 < seconds <= LONGEST:
        raise EcgclipError(f"{seconds:g} s: ask for up to {LONGEST} s at once")
    stop = min(start + seconds, ecg.seconds)
    beats = [beat for beat in beats_of(case.examined) if start <= beat.time < stop]
    return {"signal": signal(ecg, start, stop), "beats": [beat_answer(beat) for beat in beats]}


def signal(ecg: ECG, start: float, stop: float) -> Json:
    """The samples from start to stop, s, as int16 in µV."""
    step = int(np.ceil(ecg.sampling_rate / FINEST))
    first, last = (round(s * ecg.sampling_rate) for s in (start, stop))
    microvolts = (ecg.signal[:, first:last:step] * 1000).clip(MISSING + 1, -MISSING - 1)
    samples = np.where(np.isnan(microvolts), MISSING, np.rint(microvolts)).astype("<i2")
    return {
        "start_s": first / ecg.sampling_rate,
        "seconds": (last - first) / ecg.sampling_rate,
        "sampling_rate": ecg.sampling_rate / step,
        "leads": {lead: base64.b64encode(row.tobytes()).decode() for lead, row in zip(ecg.leads, samples, strict=True)},
    }


def beat_answer(beat: Beat) -> Json:
    """A beat: its time, class and letter, and where its waves are."""
    waves = {name: [round(t, 3) for t in span] for name, span in beat.waves.items()}
    return {"time_s": round(beat.time, 3), "kind": beat.kind, "letter": beat.letter, "waves": waves}


def _row(row: Row) -> Json:
    names = {"en": row.name, "de": GERMAN.get(row.name, row.name)}
    value = None if row.value is None else round(row.value, row.digits + 2)
    ranged = {"low": row.low, "high": row.high, "source": row.source}
    return {"name": names, "value": value, "unit": row.unit, "digits": row.digits, **ranged, "answer": row.answer}


def number(value: float) -> float | None:
    """NaN, which JSON does not have, becomes None."""
    return float(value) if np.isfinite(value) else None


def _signal_of(case: Case) -> ECG:
    assert case.ecg is not None  # `Desk.one` gives it
    return case.ecg


# ---------------------------------------------------------------------------------------------------------------------
# The knowledge base


def concept_rows(model: Any) -> Sequence[Json]:
    """Every condition with its names."""
    return [
        {
            "id": concept.id,
            "category": concept.category,
            "name": names_of(concept),
            "names": list(dict.fromkeys(concept.names)),
            "trained": model.trained(concept.id),
        }
        for concept in model.kb.concepts.values()
        if concept.category != "beat"
    ]


def names_of(concept: Any) -> Json:
    """The name of a concept in English, and its first one in German."""
    german = concept.aliases.get("de") or [concept.name]
    return {"en": concept.name, "de": german[0]}


def concept_answer(concept: Any, kb: Any) -> Json:
    """All that is known of a concept."""
    keys = dict.fromkeys([*concept.sources, *(criterion.source for criterion in concept.criteria)])
    named = lambda ids: [{"id": each, "name": names_of(kb.concepts[each])} for each in ids if each in kb.concepts]
    return {
        "id": concept.id,
        "category": concept.category,
        "name": names_of(concept),
        "aliases": concept.aliases,
        "codes": concept.codes,
        "definition": {"en": concept.definition, "de": concept.definition_de},
        "criteria": [
            {
                "text": c.text,
                "role": c.role or "supporting",
                "leads": list(c.leads),
                "test": c.test,
                "source": c.source,
            }
            for c in concept.criteria
        ],
        "lookalikes": named(concept.lookalikes),
        "broader": named(concept.broader),
        "explained_by": [row | {"test": concept.explained_by[row["id"]]} for row in named(concept.explained_by)],
        "excludes": named(concept.excludes),
        "report": {"en": concept.report, "de": concept.report_de},
        "negation": {"en": concept.negation, "de": concept.negation_de},
        "sources": {key: str(kb.sources[key]) for key in keys if key in kb.sources},
    }
