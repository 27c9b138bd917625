"""What was measured, as marks on the paper: beats with their class, the waves of one beat, ST levels, shaded places."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ecgclip.peaks import RATE

if TYPE_CHECKING:
    from ecgclip.explain.places import Place
    from ecgclip.measure.examined import Examined
    from ecgclip.measure.measurement import Measurement

LAYERS = ("peaks", "waves", "st")
# The letters of the classes of beats, as annotators write them
LETTERS = {"usual": "N", "early": "S", "wide": "V", "run": "V", "fusion": "F", "paced": "P", "other": "?"}
MEANINGS = {
    "N": "usual",
    "S": "early, narrow",
    "V": "wide, of another shape",
    "F": "fusion",
    "P": "paced",
    "?": "of no class",
}
BEFORE_QRS = 0.24  # s before QRS where P is looked for, where none was measured
SPIKE_BEFORE, SPIKE_AFTER = 0.2, 0.02  # s before and after R where the spike of a paced beat is
AROUND_R = 0.06  # s on either side of R that stand for the beat, or for QRS where it is not measured
APART = 0.05  # s: nearer beats are the same one, in two windows that overlap


def layers_of(show: str | None) -> tuple[str, ...]:
    """The layers that a user names: "peaks,st", or "all"; not checked."""
    if show == "all":
        return LAYERS
    return tuple(name.strip() for name in show.split(",")) if show else ()


class Beat(NamedTuple):
    """A heartbeat: when its R peak is, s of the recording; its class, that of a `BeatTable`, and the letter of it."""

    time: float
    kind: str
    letter: str
    waves: dict[str, tuple[float, float]]  # from when to when P, PR, QRS, ST, T and QT are, s; those that are measured


@dataclass(frozen=True)
class Marks:
    """All marks of one ECG.

    Attributes
    ----------
    beats
        To be marked with their letters, in the order of time.
    waves
        The beats of which one is to be marked with its intervals.
    spikes
        When pacing spikes are, s.
    levels
        ST of each lead, in words.
    shades
        (lead or None, start, stop): what is to be shaded, s. None is the lead in which the beats are marked.
    lines
        To be written under the paper: (text, whether it stands out).
    """

    beats: tuple[Beat, ...] = ()
    waves: tuple[Beat, ...] = ()
    spikes: tuple[float, ...] = ()
    levels: dict[str, str] = field(default_factory=dict)
    shades: tuple[tuple[str | None, float, float], ...] = ()
    lines: tuple[tuple[str, bool], ...] = ()


def marks_of(
    examined: Examined,
    begin: float,
    shown: tuple[float, float],
    show: Collection[str],
    places: Collection[Place] = (),
    lines: Sequence[str] = (),
) -> Marks:
    """The marks of a recording.

    Parameters
    ----------
    begin
        When the part that was examined begins, s of the recording.
    shown
        From when to when it is shown, s.
    show
        Of `LAYERS`.
    places, lines
        What is shaded, and text about it, the first line bold.
    """
    from ecgclip.explain.evidence import summary  # here, as an ECG without marks needs none of it

    beats = tuple(beat for beat in beats_of(examined, begin) if shown[0] <= beat.time < shown[1])
    values, seconds = summary(examined.measurements), examined.recording.seconds
    written = [(_key(beats), False)] if "peaks" in show and beats else []
    if "waves" in show:
        part = f" in {begin:.0f} to {begin + seconds:.0f} s" if begin or begin + seconds > shown[1] else ""
        written.append((f"Measured{part}: {_intervals(values)}.", False))
    written += [(line, i == 0) for i, line in enumerate(lines)]
    return Marks(
        beats=beats if "peaks" in show else (),
        waves=tuple(beat for beat in beats if _is_usual(beat, beats)) if "waves" in show else (),
        spikes=tuple(begin + examined.prepared.spikes_s) if "peaks" in show else (),
        levels=_levels(values["st_mv"]) if "st" in show else {},
        shades=tuple(shades_of(beats, places)),
        lines=tuple(written),
    )


def beats_of(examined: Examined, begin: float = 0.0) -> Iterator[Beat]:
    """Every beat once, although windows may overlap; begin: when the part that was examined begins, s."""
    last, spikes = -np.inf, examined.prepared.spikes_s
    windows = zip(examined.prepared.start_s, examined.r_peaks, examined.measurements, strict=True)
    for start, peaks, m in windows:
        for time, kind, wide in zip(start + peaks / RATE, m.table.kind.tolist(), m.table.wide.tolist(), strict=True):
            if time > last + APART:
                last = float(time)
                paced = kind == "usual" and _is_paced(last, m, spikes)
                letter = "P" if paced else ("V" if wide else "N") if kind == "late" else LETTERS[kind]
                yield Beat(begin + last, kind, letter, _waves(begin + last, kind, m))


def _is_paced(time: float, measurement: Measurement, spikes: np.ndarray) -> bool:
    """Whether a usual beat has a spike, where the usual beats have one; where spikes are smeared, all have."""
    near = (spikes > time - SPIKE_BEFORE) & (spikes < time + SPIKE_AFTER)
    return bool(measurement.spikes.ventricular and (near.any() or not len(spikes)))


def _waves(time: float, kind: str, measurement: Measurement) -> dict[str, tuple[float, float]]:
    """From when to when the waves of a beat are, by the median beat of its class."""
    m = measurement.table.classes.get("wide" if kind == "run" else kind, measurement)
    if kind in ("fusion", "other") and len(measurement.table.kind) > 2 or np.isnan(m.qrs_ms):
        return {"QRS": (time - AROUND_R, time + AROUND_R)}
    onset = time - m.r_after_onset_ms / 1000
    j, end = onset + m.qrs_ms / 1000, onset + m.qt_ms / 1000
    waves = {"QRS": (onset, j), "QT": (onset, end), "ST": (j, j + min(0.08, end - j)), "T": (j + 0.08, end)}
    if m.p_present and not np.isnan(m.pr_ms):
        p = onset - m.pr_ms / 1000
        waves |= {"P": (p, p + m.p_duration_ms / 1000), "PR": (p, onset)}
    return {name: part for name, part in waves.items() if part[1] > part[0]}


def _is_usual(beat: Beat, beats: Sequence[Beat]) -> bool:
    """Whether the waves of a beat are those of the median beat, as far as there are such beats."""
    return beat.kind == "usual" or all(other.kind != "usual" for other in beats)


def shades_of(beats: Sequence[Beat], places: Collection[Place]) -> Iterator[tuple[str | None, float, float]]:
    """Where beats show what places name, as (lead or None, start, stop), s."""
    for place in sorted(places, key=str):
        for beat, following in zip(beats, [*beats[1:], None], strict=True):
            if not _reads(place, beat, beats):
                continue
            part = _part(place.part, beat, following)
            if part:
                yield place.lead, *part


def _reads(place: Place, beat: Beat, beats: Sequence[Beat]) -> bool:
    if place.beats == "paced":
        return beat.letter == "P"
    if place.beats:
        return beat.kind == place.beats or (place.beats == "wide" and beat.kind == "run")
    return place.part == "R" or _is_usual(beat, beats)


def _part(part: str, beat: Beat, following: Beat | None) -> tuple[float, float] | None:
    if part == "R":
        return beat.time - AROUND_R, beat.time + AROUND_R
    if part == "TQ":
        end = beat.waves.get("QT")
        return (end[1], following.waves["QRS"][0]) if end and following and following.waves["QRS"][0] > end[1] else None
    if part == "P" and "P" not in beat.waves:  # where it is missed
        onset = beat.waves["QRS"][0]
        return onset - BEFORE_QRS, onset
    return beat.waves.get(part)


# ---------------------------------------------------------------------------------------------------------------------
# Words


def _levels(st_mv: dict[str, float | None]) -> dict[str, str]:
    shown = {lead: round(value, 2) + 0.0 for lead, value in st_mv.items() if value is not None}  # no -0
    return {lead: f"ST {value:+.2f}".replace("-", "−") for lead, value in shown.items()}


def _key(beats: Sequence[Beat]) -> str:
    counts = {letter: sum(beat.letter == letter for beat in beats) for letter in MEANINGS}
    parts = [f"{letter} {MEANINGS[letter]} ({count})" for letter, count in counts.items() if count]
    return f"Beats: {', '.join(parts)}. Between them R–R in ms."


def _intervals(values: dict) -> str:
    parts = [
        f"{name} {values[key]:.0f}{unit}"
        for name, key, unit in (
            ("rate", "heart_rate", "/min"),
            ("PR", "pr_ms", " ms"),
            ("QRS", "qrs_ms", " ms"),
            ("QT", "qt_ms", " ms"),
            ("QTc", "qtc_ms", " ms (Fridericia)"),
            ("axis", "axis_deg", "°"),
        )
        if values[key] is not None
    ]
    return ", ".join(parts) or "nothing"
