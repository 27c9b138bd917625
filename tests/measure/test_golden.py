"""What version 0.5.0 measured in 510 real windows, one by one (golden.json), is measured in batches too."""

import json
import os
import warnings
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from ecgclip.io.read import read_ecg
from ecgclip.measure.beats import find_beats_of_many
from ecgclip.measure.measurement import measure_many, windows_of
from ecgclip.prepare import prepare

DATA = os.environ.get("ECGCLIP_DATA")
GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
ONE_SAMPLE_MS = 10


@pytest.fixture(scope="module")
def measured():
    """The R peaks and the measurement of each golden window, in its order."""
    if not DATA:
        pytest.skip("ECGCLIP_DATA is not set")
    recordings = [(Path(DATA, path), len(list(of))) for path, of in groupby(GOLDEN["windows"], lambda w: w["record"])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = [prepare(read_ecg(path)) for path, _ in recordings]
    windows = [
        window
        for one, beats, (_, count) in zip(prepared, find_beats_of_many(prepared), recordings, strict=True)
        for window in windows_of(one, beats)[:count]
    ]
    return [(window.peaks, m) for window, m in zip(windows, measure_many(windows), strict=True)]


def rounded(value):
    return None if value is None or np.isnan(value) else round(float(value))


def off(values, golden, tolerance):
    """Which of the values are not as in the golden ones."""
    return [
        (value, old)
        for value, old in zip(values, golden, strict=True)
        if (value is None) != (old is None) or (old is not None and abs(value - old) > tolerance)
    ]


@pytest.mark.data
def test_beats_are_where_they_were_and_of_the_same_classes(measured):
    for window, (peaks, m) in zip(GOLDEN["windows"], measured, strict=True):
        where = f"{window['record']}, window {window['window']}"
        assert off(peaks.tolist(), window["peaks"], 1) == [], where
        assert "".join(kind[0] for kind in m.table.kind) == window["beats"], where


@pytest.mark.data
def test_lengths_and_rates_are_the_same_within_a_sample(measured):
    for window, (_, m) in zip(GOLDEN["windows"], measured, strict=True):
        where = f"{window['record']}, window {window['window']}"
        lengths = [rounded(getattr(m, name)) for name in GOLDEN["ms"]]
        assert off(lengths, window["ms"], ONE_SAMPLE_MS) == [], where
        rates = [rounded(x) for x in (m.heart_rate, m.axis_deg, m.atria.p_rate, m.atrial_rate)]
        assert off(rates, [window[name] for name in ("rate", "axis", "p_rate", "atrial_rate")], 2) == [], where
        assert [m.p_present, m.spikes.atrial, m.spikes.ventricular] == [window["p"], *window["spikes"]], where


@pytest.mark.data
def test_heights_are_the_same_within_a_microvolt(measured):
    for window, (_, m) in zip(GOLDEN["windows"], measured, strict=True):
        where = f"{window['record']}, window {window['window']}"
        for name, golden in zip(GOLDEN["uv"], window["uv"], strict=True):
            assert off([rounded(x) for x in 1000 * getattr(m, name)[m.mask]], golden, 1) == [], f"{where}: {name}"
        assert off([rounded(x) for x in 1000 * m.shape.j_mv[m.mask]], window["j_uv"], 1) == [], where
        widths = [rounded(x) for x in m.shape.t_width_ms[m.mask]]
        assert off(widths, window["t_width_ms"], ONE_SAMPLE_MS) == [], where
