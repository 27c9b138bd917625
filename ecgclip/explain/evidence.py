"""What lies behind a score, in numbers: the knowledge asked with, the windows, beats and leads that answer, measurements.

Entry points: `explain` (one dict a score, ready for JSON) and `summary` (the measurements of a whole record).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.measure.measurement import Measurement
from ecgclip.peaks import RATE

if TYPE_CHECKING:
    from ecgclip.knowledge.concepts import Passage
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.prompts import Prompt
    from ecgclip.model.results import Embedding, Result

BEATS = 3  # beats shown for a score
NUMBERS = ("heart_rate", "rr_variation", "qrs_ms", "qt_ms", "qtc_ms")


def explain(model: ECGCLIP, embedding: Embedding, prompts: Sequence[Prompt], result: Result) -> list[dict[str, Any]]:
    """For each score of `result`, made from the prompt at the same place:

    name: what was understood; definition of the concept, of several all of theirs (both None without one);
    passages [{kind, text, source}], source a key of sources;
    sources {key: literature}; windows [similarity];
    beats [{time_s, rr_s, similarity}], the most similar first, rr_s the interval before;
    leads {lead: similarity less the similarity without that lead}, None where it is masked or the only one.
    """
    evidence = model.lead_evidence(embedding, prompts)
    sources = model.kb.sources
    return [
        {
            **_meaning(model, prompt),
            "passages": [{"kind": p.kind, "text": p.text, "source": p.source} for p in _passages(prompt)],
            "sources": {key: str(sources[key]) for key in _keys(prompt)},
            "windows": list(score.window_similarity),
            "beats": _beats(embedding, prompt),
            "leads": {lead: _number(value) for lead, value in zip(LEADS, row, strict=True)},
        }
        for prompt, score, row in zip(prompts, result.scores, evidence, strict=True)
    ]


def _meaning(model: ECGCLIP, prompt: Prompt) -> dict[str, str | None]:
    known = [leaf.concept for leaf in prompt.leaves if leaf.concept]
    if not known:
        return {"name": None, "definition": None}
    return {"name": model.said(prompt), "definition": " ".join(concept.definition for concept in known)}


def _passages(prompt: Prompt) -> list[Passage]:
    return [passage for leaf in prompt.leaves for passage in leaf.passages]


def _keys(prompt: Prompt) -> list[str]:
    own = [key for leaf in prompt.leaves if leaf.concept for key in leaf.concept.sources]
    return list(dict.fromkeys([*own, *(p.source for p in _passages(prompt) if p.source)]))


def _beats(embedding: Embedding, prompt: Prompt) -> list[dict[str, Any]]:
    from ecgclip.model.prompts import combine, leaf_vectors  # `summary` needs no torch

    rows = []
    beats = embedding.heartbeats
    windows = zip(embedding.prepared.start_s, beats.windows, beats.around, embedding.beats, strict=True)
    for start, peaks, (first, _), vectors in windows:
        before = np.diff(peaks, prepend=first) / RATE
        for i, value in enumerate(combine([prompt], vectors @ leaf_vectors([prompt]).T, whole=0)[:, 0]):
            rows.append(
                {
                    "time_s": round(float(start) + peaks[i] / RATE, 2),
                    "rr_s": _number(before[i]),
                    "similarity": float(value),
                }
            )
    return sorted(rows, key=lambda row: -row["similarity"])[:BEATS]


def summary(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """The median over the windows, but of longest_rr_s the longest; None where it cannot be measured in any.

    heart_rate (/min), rr_variation (standard deviation over mean of R-R), longest_rr_s (s without a heartbeat), pr_ms, qrs_ms, qt_ms, qtc_ms (Fridericia), axis_deg,
    and by lead: st_mv (level at J + 60 ms), t_mv (the largest deflection of T, signed), r_mv, s_mv (the tallest positive and
    deepest negative wave of QRS).
    """
    columns = {name: [getattr(m, name) for m in measurements] for name in NUMBERS}
    columns["pr_ms"] = [m.pr_ms for m in measurements if m.p_present]  # without P waves there is no PR interval
    axis = np.deg2rad([m.axis_deg for m in measurements if not math.isnan(m.axis_deg)])
    middle = np.rad2deg(np.angle(np.exp(1j * axis).mean())) if len(axis) else math.nan
    pauses = np.array([m.longest_pause_ms for m in measurements]) / 1000
    order = ("heart_rate", "rr_variation", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms")
    by_lead = {
        "st_mv": [m.st_mv for m in measurements],
        "t_mv": [m.t_mv for m in measurements],
        "r_mv": [np.fmax(m.r_mv, m.rprime_mv) for m in measurements],
        "s_mv": [np.fmin(m.q_mv, m.s_mv) for m in measurements],
    }
    return {
        **{name: _median(columns[name]) for name in order},
        "longest_rr_s": None if np.isnan(pauses).all() else float(np.nanmax(pauses)),
        "axis_deg": _number(middle),
        **{
            name: {lead: _median([row[i] for row in rows]) for i, lead in enumerate(LEADS)}
            for name, rows in by_lead.items()
        },
    }


def _median(values: Sequence[float]) -> float | None:
    known = [v for v in values if not math.isnan(v)]
    return float(np.median(known)) if known else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
