"""What lies behind a score, as numbers: passages of the knowledge base, windows, beats, leads and measurements.

Entry points: `explain` (one dict for each score, ready for JSON) and `summary` (the measurements of a record).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.explain.measured import explained_away, judged_criteria, measured_test, record_judge
from ecgclip.knowledge.criteria import Judge
from ecgclip.measure.measurement import Measurement
from ecgclip.model.prompts import Prompt, combine, leaf_vectors
from ecgclip.model.results import Embedding, Result
from ecgclip.peaks import RATE

if TYPE_CHECKING:
    from ecgclip.knowledge.concepts import Passage
    from ecgclip.model.clip import ECGCLIP  # needs torch, which `summary` does without

SHOWN_BEATS = 3  # of a score


def explain(model: ECGCLIP, embedding: Embedding, prompts: Sequence[Prompt], result: Result) -> list[dict[str, Any]]:
    """Explain each score of a record.

    Parameters
    ----------
    model
        The one that scored.
    embedding
        Vectors of the record.
    prompts
        Prompts of the scores, in the same order.
    result
        What `model.score` gave.

    Returns
    -------
    list of dict
        One for each score, ready for JSON:

        - name: what was understood; None if the knowledge base has no such concept
        - definition: of its concepts; None likewise
        - passages: [{kind, text, source}], where source is a key of `sources`
        - criteria: those of its concepts, each as met, unmet, borderline or not measurable (see `measured_criteria`)
        - explained: the conditions that explain these criteria (see `explained_away`)
        - sources: {key: literature}
        - windows: similarity of each window
        - beats: [{time_s, rr_s, similarity}] of the most similar beats; rr_s is the interval before the beat
        - leads: {lead: what it adds to the similarity}; None for a lead that is masked, or is the only one
    """
    evidence = model.lead_evidence(embedding, prompts)
    judge = record_judge(embedding, model.kb)
    sources = model.kb.sources
    return [
        {
            **_meaning(prompt),
            "passages": [{"kind": p.kind, "text": p.text, "source": p.source} for p in _passages(prompt)],
            **prompt_criteria(prompt, judge),
            "sources": {key: str(sources[key]) for key in _source_keys(prompt)},
            "windows": list(score.window_similarity),
            "beats": _beats(embedding, prompt),
            "leads": {lead: _number(value) for lead, value in zip(LEADS, row, strict=True)},
        }
        for prompt, score, row in zip(prompts, result.scores, evidence, strict=True)
    ]


def prompt_criteria(prompt: Prompt, judge: Judge) -> dict[str, list[dict[str, Any]]]:
    """The criteria of a prompt's conditions, and what explains them away: see `criteria` and `explained` there."""
    concepts = [leaf.concept for leaf in prompt.leaves if leaf.concept]
    numbers = [measured_test(leaf.label, leaf.test, judge) for leaf in prompt.leaves if leaf.test]
    return {
        "criteria": [*judged_criteria(concepts, judge), *numbers],
        "explained": [row for concept in concepts for row in explained_away(concept, judge)],
    }


def _meaning(prompt: Prompt) -> dict[str, str | None]:
    concepts = [leaf.concept for leaf in prompt.leaves if leaf.concept]
    if not concepts:
        return {"name": None, "definition": None}
    return {"name": prompt.meaning, "definition": " ".join(concept.definition for concept in concepts)}


def _passages(prompt: Prompt) -> list[Passage]:
    return [passage for leaf in prompt.leaves for passage in leaf.passages]


def _source_keys(prompt: Prompt) -> list[str]:
    """The sources of its concepts and passages, each once."""
    of_concepts = [key for leaf in prompt.leaves if leaf.concept for key in leaf.concept.sources]
    return list(dict.fromkeys([*of_concepts, *(p.source for p in _passages(prompt) if p.source)]))


def _beats(embedding: Embedding, prompt: Prompt) -> list[dict[str, Any]]:
    """The beats that are most similar to a prompt."""
    rows = []
    beats = embedding.heartbeats
    windows = zip(embedding.prepared.start_s, beats.windows, beats.around, embedding.beats, strict=True)
    for start, peaks, (beat_before, _), vectors in windows:
        rr = np.diff(peaks, prepend=beat_before) / RATE
        similarity = combine([prompt], vectors @ leaf_vectors([prompt]).T, whole=0)[:, 0]
        for i, value in enumerate(similarity):
            time = round(float(start) + peaks[i] / RATE, 2)
            rows.append({"time_s": time, "rr_s": _number(rr[i]), "similarity": float(value)})
    return sorted(rows, key=lambda row: -row["similarity"])[:SHOWN_BEATS]


def summary(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Summarise the measurements of a record: medians over its windows.

    Parameters
    ----------
    measurements
        One for each window.

    Returns
    -------
    dict
        Ready for JSON; None where no window can be measured:

        - heart_rate (/min), rr_variation (standard deviation over mean of R–R), pr_ms, qrs_ms, qt_ms,
          qtc_ms (Fridericia), axis_deg
        - longest_rr_s: the longest time without a heartbeat in any window
        - by lead: st_mv (level of ST at J + 60 ms), t_mv (the largest deflection of T), r_mv and s_mv (the tallest
          positive and the deepest negative wave of QRS)
    """
    intervals = {
        name: [getattr(m, name) for m in measurements]
        for name in ("heart_rate", "rr_variation", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms")
    }
    intervals["pr_ms"] = [m.pr_ms for m in measurements if m.p_present]  # without P waves there is no PR interval
    by_lead = {
        "st_mv": [m.st_mv for m in measurements],
        "t_mv": [m.t_mv for m in measurements],
        "r_mv": [np.fmax(m.r_mv, m.rprime_mv) for m in measurements],
        "s_mv": [np.fmin(m.q_mv, m.s_mv) for m in measurements],
    }
    pauses = np.array([m.longest_pause_ms for m in measurements]) / 1000
    return {
        **{name: _median(values) for name, values in intervals.items()},
        "longest_rr_s": None if np.isnan(pauses).all() else float(np.nanmax(pauses)),
        "axis_deg": _mean_axis(measurements),
        **{
            name: {lead: _median([row[i] for row in rows]) for i, lead in enumerate(LEADS)}
            for name, rows in by_lead.items()
        },
    }


def _mean_axis(measurements: Sequence[Measurement]) -> float | None:
    """The mean direction of the axes, degrees."""
    axes = np.deg2rad([m.axis_deg for m in measurements if not math.isnan(m.axis_deg)])
    return _number(np.rad2deg(np.angle(np.exp(1j * axes).mean()))) if len(axes) else None


def _median(values: Sequence[float]) -> float | None:
    numbers = [v for v in values if not math.isnan(v)]
    return float(np.median(numbers)) if numbers else None


def _number(value: float) -> float | None:
    """NaN, which JSON does not have, becomes None."""
    return None if math.isnan(value) else float(value)
