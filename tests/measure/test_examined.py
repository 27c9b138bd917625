"""Examining a record: all that `ecgclip info` shows and the encoder needs, without torch."""

import subprocess
import sys

import numpy as np

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.measure.examined import examine, examine_many
from ecgclip.simulate import simulate


def test_a_recording_is_examined_window_by_window():
    ecg = simulate("pvc", seed=1, seconds=24, sampling_rate=250)
    examined = examine(ecg, 250)
    assert examined.leads == ecg.leads
    assert examined.prepared.encoder_signal.shape == (3, 12, 2500)
    assert [m.beats for m in examined.measurements] == [len(peaks) for peaks in examined.r_peaks]
    assert examined.notes == (*ecg.notes, *examined.prepared.notes)


def test_recordings_together_are_as_each_alone_and_a_flat_one_is_an_error_in_its_place():
    ecgs = [simulate("pvc", seed=1, seconds=24), ECG(np.zeros((1, 5000)), 500, ("II",)), simulate("af", seed=2)]
    first, flat, last = examine_many(ecgs, 250)
    assert isinstance(flat, EcgclipError)
    for together, ecg in ((first, ecgs[0]), (last, ecgs[2])):
        alone = examine(ecg, 250)
        assert np.allclose(together.prepared.encoder_signal, alone.prepared.encoder_signal, atol=1e-4)
        assert [m.heart_rate for m in together.measurements] == [m.heart_rate for m in alone.measurements]
        assert together.notes == alone.notes
    assert examine_many([]) == []


def test_it_needs_no_torch():
    code = "import sys, ecgclip.measure.examined, ecgclip.explain.evidence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_rate_that_no_heart_has_names_the_sampling_rate():
    ecg = simulate("normal", seed=3, seconds=30, sampling_rate=500)
    assert not [note for note in examine(ecg).notes if "sampling rate" in note]
    slowed = examine(ECG(ecg.signal, 100, ecg.leads))
    assert [note for note in slowed.notes if "is the sampling rate 100 Hz?" in note]
