"""Examining a record: all that `ecgclip info` shows and the encoder needs, without torch."""

import subprocess
import sys

from ecgclip.ecg import ECG
from ecgclip.measure.examined import examine
from ecgclip.simulate import simulate


def test_a_recording_is_examined_window_by_window():
    ecg = simulate("pvc", seed=1, seconds=24, sampling_rate=250)
    examined = examine(ecg, 250)
    assert examined.leads == ecg.leads
    assert examined.prepared.encoder_signal.shape == (3, 12, 2500)
    assert [m.beats for m in examined.measurements] == [len(peaks) for peaks in examined.r_peaks]
    assert examined.notes == (*ecg.notes, *examined.prepared.notes)


def test_it_needs_no_torch():
    code = "import sys, ecgclip.measure.examined, ecgclip.explain.evidence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_rate_that_no_heart_has_names_the_sampling_rate():
    ecg = simulate("normal", seed=3, seconds=30, sampling_rate=500)
    assert not [note for note in examine(ecg).notes if "sampling rate" in note]
    slowed = examine(ECG(ecg.signal, 100, ecg.leads))
    assert [note for note in slowed.notes if "is the sampling rate 100 Hz?" in note]
