"""ECGs on ECG paper, true to scale, as SVG, PDF or PNG. Every length is in mm of paper.

layout (which lead where) ─┐
signals (mV, at their rate) ├─▶ panel (one ECG) ──paper──▶ page ──▶ file
marks (what was measured) ──┘

`plot` draws records for a reader; `plot_ecgs` draws what a search found.
"""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.plot.draw import plot as plot
    from ecgclip.plot.found import plot_ecgs as plot_ecgs

__all__ = ["plot", "plot_ecgs"]
__getattr__, __dir__ = attach(__name__, {"plot": "ecgclip.plot.draw", "plot_ecgs": "ecgclip.plot.found"})
