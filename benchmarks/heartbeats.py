"""Draw the vocabulary of heartbeats that a training of the task `heartbeats` has learnt:

    ecgclip train ecg RECIPE --data DATA -o RUN
    python benchmarks/heartbeats.py RUN -o heartbeats.png        # or .svg, .pdf

The words in use, the most frequent first, true to scale at 25 mm/s and 5 mm/mV; below each its number, and how
many of the beats it stands for. Both are read from RUN/task.safetensors.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.networks.config import BEAT_BEFORE_S
from ecgclip.plot.page import GREY, Page, own_settings, pages_of
from ecgclip.plot.paper import BOLD, FINE, PAPER

SPEED, GAIN = 25, 5  # mm/s, mm/mV
COLUMNS, MOST = 12, 144
UP, DOWN, GAP, WORDS, EDGE, HEAD = 10, 10, 2, 4, 5, 8  # mm: of a cell, between cells, below each, around and above all
RARE = 0.05  # times the mean use of a word: less is not in use


def read_vocabulary(run: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """Return each word as a beat, (codes, samples) mV, its share of all beats, and the beats' sampling rate, Hz.

    Raises EcgclipError where the folder has no vocabulary.
    """
    from safetensors.numpy import load_file

    file = run / "task.safetensors"
    kept = load_file(file) if file.exists() else {}
    if "vocabulary.used" not in kept:
        raise EcgclipError(f"{file}: no vocabulary here; train with the task heartbeats")
    used = kept["vocabulary.used"]
    return kept["beats"], used / max(used.sum(), 1e-9), int(kept["sampling_rate"])


def draw_vocabulary(beats: np.ndarray, used: np.ndarray, rate: int) -> Page:
    """Return a page with the words in use; the arguments are what `read_vocabulary` returns."""
    order = np.argsort(-used, kind="stable")
    in_use = order[used[order] >= RARE / len(used)]
    drawn = in_use[:MOST]
    width, height = SPEED * beats.shape[1] / rate, UP + DOWN
    top = 2 * EDGE + HEAD + math.ceil(len(drawn) / COLUMNS) * (height + WORDS)
    page = Page(2 * EDGE + COLUMNS * (width + GAP) - GAP, top)
    first = f", the first {len(drawn)}" if len(drawn) < len(in_use) else ""
    perplexity = np.exp(-(used[in_use] * np.log(used[in_use])).sum())
    head = f"{len(in_use)} of {len(used)} words in use{first}; perplexity {perplexity:.0f}; {SPEED} mm/s, {GAIN} mm/mV"
    page.text(EDGE, top - EDGE - 3, head, 10, bold=True)
    for place, word in enumerate(drawn):
        row, column = divmod(place, COLUMNS)
        x, y = EDGE + column * (width + GAP), top - EDGE - HEAD - row * (height + WORDS) - height
        _draw_word(page, x, y, width, beats[word], rate, f"word-{word}")
        page.text(x + width / 2, y - 3, f"{word}: {100 * used[word]:.1f} %", 6, GREY, align="center")
    return page


def _draw_word(page: Page, x: float, y: float, width: float, beat: np.ndarray, rate: int, name: str) -> None:
    """A beat on its paper, whose lower left corner lies at x, y; R on a bold line, as it is where beats are cut."""
    box = (x, y, width, float(UP + DOWN))
    page.fill(*box, PAPER, 0)
    page.grid(*box, 1, FINE, 0.2)
    page.grid(*box, 5, BOLD, 0.3)
    r = x + SPEED * BEAT_BEFORE_S
    page.line((r, r), (y, y + UP + DOWN), BOLD, order=0.4)
    page.line(x + SPEED * np.arange(len(beat)) / rate, y + DOWN + GAIN * beat, name=name, clip=box)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a vocabulary of heartbeats.")
    parser.add_argument("run", type=Path, help="what `ecgclip train ecg` wrote")
    parser.add_argument("-o", "--output", type=Path, default=Path("heartbeats.png"), help=".png, .svg or .pdf")
    options = parser.parse_args()
    try:
        vocabulary = read_vocabulary(options.run)
    except EcgclipError as error:
        sys.exit(f"error: {error}")
    with own_settings(), pages_of(options.output) as add:
        add(draw_vocabulary(*vocabulary))


if __name__ == "__main__":
    main()
