"""Measurements of an ECG as a cardiologist takes them, and the findings that follow from them.

`measure` gives the numbers (a `Measurement`), `findings` judges them by the guidelines, `features` makes them a vector
for the encoder, `observe` tells what a recording decides by itself, and `examine` does all of it. `measure_many` and
`examine_many` work on many windows and recordings at once, in a fraction of the time.
"""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.measure.batch import Window as Window
    from ecgclip.measure.beats import Beats as Beats
    from ecgclip.measure.beats import find_beats as find_beats
    from ecgclip.measure.examined import Examined as Examined
    from ecgclip.measure.examined import examine as examine
    from ecgclip.measure.examined import examine_many as examine_many
    from ecgclip.measure.guideline import finding_texts as finding_texts
    from ecgclip.measure.guideline import findings as findings
    from ecgclip.measure.measurement import Measurement as Measurement
    from ecgclip.measure.measurement import measure as measure
    from ecgclip.measure.measurement import measure_many as measure_many
    from ecgclip.measure.measurement import measure_windows as measure_windows
    from ecgclip.measure.recording import Decision as Decision
    from ecgclip.measure.recording import Recording as Recording
    from ecgclip.measure.recording import observe as observe
    from ecgclip.measure.vector import feature_names as feature_names
    from ecgclip.measure.vector import features as features

__all__ = [
    "Measurement",
    "measure",
    "measure_many",
    "measure_windows",
    "Window",
    "findings",
    "finding_texts",
    "features",
    "feature_names",
    "Beats",
    "find_beats",
    "Recording",
    "Decision",
    "observe",
    "Examined",
    "examine",
    "examine_many",
]
__getattr__, __dir__ = attach(
    __name__,
    {
        "Measurement": "ecgclip.measure.measurement",
        "measure": "ecgclip.measure.measurement",
        "measure_many": "ecgclip.measure.measurement",
        "measure_windows": "ecgclip.measure.measurement",
        "Window": "ecgclip.measure.batch",
        "findings": "ecgclip.measure.guideline",
        "finding_texts": "ecgclip.measure.guideline",
        "features": "ecgclip.measure.vector",
        "feature_names": "ecgclip.measure.vector",
        "Beats": "ecgclip.measure.beats",
        "find_beats": "ecgclip.measure.beats",
        "Recording": "ecgclip.measure.recording",
        "Decision": "ecgclip.measure.recording",
        "observe": "ecgclip.measure.recording",
        "Examined": "ecgclip.measure.examined",
        "examine": "ecgclip.measure.examined",
        "examine_many": "ecgclip.measure.examined",
    },
)
