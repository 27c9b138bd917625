"""The JSON of the API, where it is not that of the command line: signals, beats, measurements, the knowledge base."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.explain.answers import measured
from ecgclip.explain.evidence import summary
from ecgclip.explain.measured import record_judge
from ecgclip.explain.places import places, prompt_places
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Concept
from ecgclip.knowledge.criteria.judge import tree_of
from ecgclip.measure.examined import Examined
from ecgclip.model.prompts import Prompt
from ecgclip.model.results import Embedding, Result, Score
from ecgclip.plot.marks import Beat, beats_of, shades_of
from ecgclip.plot.signals import limb_leads
from ecgclip.report.ranges import Row, measured_rows, quality_rows, st_rows
from ecgclip.report.words import GERMAN
from ecgclip.serve.held import Case, signal_of

if TYPE_CHECKING:
    from ecgclip.model.clip import ECGCLIP

LONGEST = 60  # s of a signal in one answer
MISSING = -32768  # a sample that is missing, in µV
FINEST = 1000  # Hz: a signal of more is thinned
COURSES = 8  # conditions of a timeline
OLDEST = 90  # years: no older age is told
Json = dict[str, Any]


def opened(case: Case, start: float, seconds: float) -> Json:
    """All that a page shows of an ECG before anything is asked of it."""
    examined, ecg = case.examined, signal_of(case)
    values, measurements = summary(examined.measurements), examined.measurements
    patient = ecg.metadata["age"], ecg.metadata["sex"]
    measured = examined.prepared.measured
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
        "masked": [lead for lead in ecg.leads if not measured[:, LEADS.index(lead)].all()],
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
    ecg = signal_of(case)
    if not 0 <= start < ecg.seconds:
        raise EcgclipError(f"nothing begins at {start:g} s of {ecg.seconds:g} s")
    if not 0 < seconds <= LONGEST:
        raise EcgclipError(f"{seconds:g} s: ask for up to {LONGEST} s at once")
    stop = min(start + seconds, ecg.seconds)
    beats = [beat for beat in beats_of(case.examined) if start <= beat.time < stop]
    return {"signal": signal(ecg, start, stop), "beats": [beat_answer(beat) for beat in beats]}


def signal(ecg: ECG, start: float, stop: float) -> Json:
    """The samples from start to stop, s, as int16 in µV; limb leads that follow from two others are among them."""
    step = int(np.ceil(ecg.sampling_rate / FINEST))
    first, last = (round(s * ecg.sampling_rate) for s in (start, stop))
    recorded = dict(zip(ecg.leads, ecg.signal[:, first:last:step], strict=True))
    return {
        "start_s": first / ecg.sampling_rate,
        "seconds": (last - first) / ecg.sampling_rate,
        "sampling_rate": ecg.sampling_rate / step,
        "leads": {lead: _encoded(row) for lead, row in {**recorded, **limb_leads(recorded)}.items()},
    }


def _encoded(row: np.ndarray) -> str:
    microvolts = (row * 1000).clip(MISSING + 1, -MISSING - 1)
    samples = np.where(np.isnan(microvolts), MISSING, np.rint(microvolts)).astype("<i2")
    return base64.b64encode(samples.tobytes()).decode()


def measurements(case: Case) -> Json:
    """What was measured, and what the file says of itself."""
    examined = case.examined
    return {
        "record": case.name,
        "leads": list(examined.leads),
        "seconds": examined.prepared.seconds,
        "used_s": examined.prepared.used_s,
        "notes": list(examined.notes),
        **measured(examined),
    }


def shades(case: Case, prompt: Prompt, kb: KnowledgeBase, start: float, seconds: float) -> Json:
    """What a label and each of its criteria look at, in the order in which `ecgclip.explain.explain` has them."""
    judge = record_judge(case.examined, kb)
    beats = [beat for beat in beats_of(case.examined) if start <= beat.time < start + seconds]
    shaded = lambda found: [
        {"lead": lead, "start_s": round(first, 3), "end_s": round(last, 3)}
        for lead, first, last in dict.fromkeys(shades_of(beats, found))
    ]
    leaves = prompt.leaves
    tests = [tree_of(c.test) if c.test else None for leaf in leaves if leaf.concept for c in leaf.concept.criteria]
    tests += [leaf.test for leaf in leaves if leaf.test]
    return {
        "label": shaded(prompt_places(prompt, judge)),
        "criteria": [shaded(places(judge, test)) if test else [] for test in tests],
    }


def timeline(model: ECGCLIP, embedding: Embedding, result: Result, stated: bool) -> Json:
    """Heart rate and probabilities by window; stated: of the conditions that are stated in any window, most first."""
    scores = _stated(model, result.scores) if stated else result.scores
    return {
        "windows": list(result.windows),
        "rate": [number(m.heart_rate) for m in embedding.measurements],
        "scores": [
            {"label": s.label, "concept": s.concept, "probability": [round(p, 4) for p in s.window_probability]}
            for s in scores
        ],
    }


def _stated(model: ECGCLIP, scores: Sequence[Score]) -> list[Score]:
    """The conditions that training had and that are over the threshold in a window, without broader ones."""
    found = [s for s in scores if s.concept and s.trained is not False and s.burden > 0]
    broader = set().union(*(model.kb.ancestors(s.concept) for s in found if s.concept))
    narrow = [s for s in found if s.concept not in broader]
    return sorted(narrow, key=lambda s: -s.burden)[:COURSES]


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


# ---------------------------------------------------------------------------------------------------------------------
# The knowledge base


def concept_rows(model: ECGCLIP) -> Sequence[Json]:
    """Every condition with its names and codes, by which it is found."""
    return [
        {
            "id": concept.id,
            "category": concept.category,
            "name": names_of(concept),
            "names": list(
                dict.fromkeys([*concept.names, *(code for key in concept.codes for code in concept.codes_of(key))])
            ),
            "trained": model.trained(concept.id),
        }
        for concept in model.kb.concepts.values()
        if concept.category != "beat"
    ]


def names_of(concept: Concept) -> Json:
    """The name of a concept in English, and its first one in German."""
    german = concept.aliases.get("de") or [concept.name]
    return {"en": concept.name, "de": german[0]}


def concept_answer(concept: Concept, kb: KnowledgeBase) -> Json:
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
