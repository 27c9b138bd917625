"""The PNG figures beside results.json: a dot for each label, and a reliability plot. Entry point: `draw_figures`."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ecgclip.files import write_atomic

MAX_LABELS = 80  # in one figure
DPI = 200
INK, GREY = "#20507a", "#9a9a9a"
FONT_SIZE = 8


def draw_figures(folder: Path, results: dict[str, Any]) -> list[tuple[str, str]]:
    """Draw the figures of `results` into `folder`; without matplotlib, a note on stderr says that there are none.

    Returns
    -------
    list of (str, str)
        File name and caption of each.
    """
    rows = [row for row in results.get("labels", ()) if row.get("in_macro") and row.get("auroc")]
    if not rows:
        return []
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print('note: no figures: they need matplotlib (pip install "ecgclip[plot]")', file=sys.stderr)
        return []
    paired = results["task"] == "compare"
    quantity = "AUROC, second model less first" if paired else "AUROC"
    _draw_labels(folder / "auroc.png", rows, quantity, 0.0 if paired else 0.5)
    drawn = [("auroc.png", f"{quantity}, of each label with its 95 % interval")]
    if "calibration" in results:
        _draw_reliability(folder / "reliability.png", results["calibration"])
        caption = "Reliability: observed share against predicted probability, with 95 % intervals"
        drawn.append(("reliability.png", caption))
    return drawn


def _draw_labels(path: Path, rows: Sequence[dict[str, Any]], quantity: str, no_effect: float) -> None:
    """A dot with its interval for each label, the best on top; a dashed line at the value `no_effect`."""
    rows = sorted(rows, key=lambda row: row["auroc"][0])[-MAX_LABELS:]
    figure, axes = _axes(6.0, 1.0 + 0.2 * len(rows))
    for i, row in enumerate(rows):
        value, low, high = row["auroc"]
        axes.plot([low, high], [i, i], color=INK, linewidth=1.2)
        axes.plot(value, i, "o", color=INK, markersize=4)
    axes.axvline(no_effect, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(rows)), [f"{row['label']} ({row['positives']})" for row in rows], fontsize=FONT_SIZE)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(f"{quantity} (positives in brackets)", fontsize=FONT_SIZE)
    _save(figure, path)


def _draw_reliability(path: Path, calibration: dict[str, Any]) -> None:
    """Observed share, with its interval, against mean probability of each bin; a dashed line where they are equal."""
    figure, axes = _axes(4.0, 4.0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
    for b in calibration["bins"]:
        value, low, high = b["observed"]
        axes.plot([b["mean_probability"]] * 2, [low, high], color=INK, linewidth=1.2)
        axes.plot(b["mean_probability"], value, "o", color=INK, markersize=4)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel("predicted probability", fontsize=FONT_SIZE)
    axes.set_ylabel("observed share", fontsize=FONT_SIZE)
    title = f"ECE {calibration['ece'][0]:.3f}, Brier score {calibration['brier'][0]:.3f}"
    axes.set_title(title, fontsize=FONT_SIZE)
    _save(figure, path)


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """A figure (inches) and its axes; made without pyplot, which would look for a display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=FONT_SIZE)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomic(path, picture.getvalue())
