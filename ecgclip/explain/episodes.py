"""What a part of a long recording shows: conditions that are stated in windows one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

SHOWN = 3  # episodes
LEAST_S = 30.0  # as the shortest episode of atrial fibrillation that counts (ESC 2020)


class Episode(NamedTuple):
    """A part of a recording.

    first, last: the windows; start_s, stop_s: when; probability: the mean of the windows
    """

    first: int
    last: int
    start_s: float
    stop_s: float
    probability: float


def find_episodes(
    stated: Sequence[Mapping[str, float]], start_s: Sequence[float], stop_s: Sequence[float]
) -> dict[str, list[Episode]]:
    """Find the episodes of each condition, at least `LEAST_S` long.

    Parameters
    ----------
    stated
        For each window the probability of each condition that is stated there, by id.
    start_s, stop_s
        Of each window.
    """
    found: dict[str, list[Episode]] = {}
    for concept in dict.fromkeys(concept for window in stated for concept in window):
        runs = groupby(range(len(stated)), key=lambda i: concept in stated[i])
        for run in (list(windows) for there, windows in runs if there):
            first, last = run[0], run[-1]
            if stop_s[last] - start_s[first] >= LEAST_S:
                mean = sum(stated[i][concept] for i in run) / len(run)
                found.setdefault(concept, []).append(Episode(first, last, start_s[first], stop_s[last], mean))
    return found


def when_words(episodes: Sequence[tuple[float, float]]) -> str:
    """When episodes were, from and to in s, in words of any language: "2:00–3:40 min"; of many the first ones."""
    long = max(stop for _, stop in episodes) >= 3600
    shown = ", ".join(f"{_clock(start, long)}–{_clock(stop, long)}" for start, stop in episodes[:SHOWN])
    more = f", … ({len(episodes)} ×)" if len(episodes) > SHOWN else ""
    return f"{shown} {'h' if long else 'min'}{more}"


def _clock(seconds: float, with_hours: bool) -> str:
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{s:02}" if with_hours else f"{minutes}:{s:02}"
