"""One recording, read, prepared and measured: the input of the ECG encoder.

examined = examine(read_ecg("record.hea"))
examined.measurements[0].heart_rate
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from ecgclip.blas import one_blas_thread
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.measure.beats import Beats, find_beats_of_many
from ecgclip.measure.measurement import Measurement, measure_many, windows_of
from ecgclip.measure.recording import Recording, observe
from ecgclip.prepare import SAMPLING_RATE, Prepared, prepare_many

SLOWEST, FASTEST = 20, 320  # beats/min that a heart has over a whole recording; beyond them the time is misread


@dataclass(frozen=True, eq=False)
class Examined:
    """One recording as the ECG encoder is given it, window by window.

    Attributes
    ----------
    record
        Path of the record; empty for an ECG that was not read from a file.
    leads
        Leads of the recording.
    prepared
        The signal, its lead mask and its windows.
    heartbeats
        R peaks of the recording and of each window.
    measurements
        One for each window.
    recording
        What the recording itself decides, such as asystole.
    metadata
        Metadata of the ECG: age, sex, comments.
    notes
        What was assumed, repaired or masked.
    """

    record: str
    leads: tuple[str, ...]
    prepared: Prepared
    heartbeats: Beats
    measurements: tuple[Measurement, ...]
    recording: Recording
    metadata: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def r_peaks(self) -> tuple[np.ndarray, ...]:
        """R peaks of each window, int (beats,), samples at 100 Hz from the start of the window."""
        return self.heartbeats.windows


def examine(ecg: ECG, sampling_rate: int = SAMPLING_RATE) -> Examined:
    """Prepare and measure one recording.

    Parameters
    ----------
    ecg
        The recording.
    sampling_rate
        Rate of the encoder's signal, Hz; measurements are taken at 100 Hz at any rate.

    Raises
    ------
    EcgclipError
        No lead has a signal in any window.
    """
    (examined,) = examine_many([ecg], sampling_rate)
    if isinstance(examined, EcgclipError):
        raise examined
    return examined


@one_blas_thread()
def examine_many(ecgs: Sequence[ECG], sampling_rate: int = SAMPLING_RATE) -> list[Examined | EcgclipError]:
    """Prepare and measure several recordings; one without a usable signal does not stop the others.

    Parameters
    ----------
    ecgs
        The recordings.
    sampling_rate
        See `examine`.

    Returns
    -------
    list
        For each recording what `examine` returns, or the error that it raises.
    """
    prepared: dict[int, Prepared] = {}
    failed: dict[int, EcgclipError] = {}
    for i, one in enumerate(prepare_many(ecgs, sampling_rate)):
        if isinstance(one, EcgclipError):
            failed[i] = one
        else:
            prepared[i] = one
    beats = dict(zip(prepared, find_beats_of_many(list(prepared.values())), strict=True))
    windows = [window for i in prepared for window in windows_of(prepared[i], beats[i])]
    measured = iter(measure_many(windows))
    return [
        failed[i] if i in failed else _examined(ecg, prepared[i], beats[i], islice(measured, len(prepared[i].signal)))
        for i, ecg in enumerate(ecgs)
    ]


def _examined(ecg: ECG, prepared: Prepared, beats: Beats, measured: Iterable[Measurement]) -> Examined:
    measurements = tuple(measured)
    recording = observe(ecg, prepared, beats, measurements)
    exchange = [recording.exchange] if recording.exchange else []
    notes = (*ecg.notes, *prepared.notes, *exchange, *_implausible_rate(ecg, beats, recording.used_s))
    return Examined(ecg.source or "", ecg.leads, prepared, beats, measurements, recording, ecg.metadata, notes)


def _implausible_rate(ecg: ECG, beats: Beats, used_s: float) -> list[str]:
    """A note where the recording beats as no heart does: most often its sampling rate is another than was read."""
    count = sum(len(peaks) for peaks in beats.windows)
    rate = 60 * count / used_s if used_s else 0.0
    if count < 3 or SLOWEST <= rate <= FASTEST:
        return []
    return [f"{rate:.0f} beats/min are no heart's: is the sampling rate {ecg.sampling_rate:g} Hz? (--sampling-rate)"]
