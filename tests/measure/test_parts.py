"""A printout shows each lead for 2.5 s: its waves are measured there, and the rhythm in the lead that runs through."""

import numpy as np
import pytest

from ecgclip.ecg import ECG, II, V1
from ecgclip.evaluate.robustness import perturb
from ecgclip.measure.beats import find_beats
from ecgclip.measure.measurement import measure_windows
from ecgclip.prepare import prepare
from ecgclip.simulate import simulate


def measured(ecg):
    prepared = prepare(ecg)
    return measure_windows(prepared, find_beats(prepared))[0]


def printed(condition, seed=3, layout="3x4+II"):
    """The measurement of a simulated ECG and that of its printout."""
    ecg = simulate(condition, seed=seed)
    return measured(ecg), measured(perturb(ecg, layout=layout))


@pytest.mark.parametrize("condition", ["normal", "inferior-stemi", "anterior-stemi", "lbbb", "rbbb", "lvh"])
@pytest.mark.parametrize("layout", ["3x4+II", "3x4+3", "6x2+II"])
def test_the_waves_of_all_leads_are_those_of_the_whole_ecg(condition, layout):
    whole, paper = printed(condition, layout=layout)
    assert paper.mask.all()
    assert np.abs(paper.st_mv - whole.st_mv).max() < 0.07
    assert np.abs(paper.qrs_pp_mv - whole.qrs_pp_mv).max() < 0.15 * whole.qrs_pp_mv.max()
    assert paper.qrs_ms == pytest.approx(whole.qrs_ms, abs=12)
    assert paper.axis_deg == pytest.approx(whole.axis_deg, abs=8)


@pytest.mark.parametrize("layout, columns", [("6x2+0", 2), ("3x4+0", 4)])
@pytest.mark.parametrize("condition", ["inferior-stemi", "lbbb"])
def test_without_a_strip_each_column_is_measured_with_the_leads_of_all(condition, layout, columns):
    """Each column has its R peaks elsewhere in a wide QRS complex."""
    ecg = simulate(condition, seed=5)
    whole, prepared = measured(ecg), prepare(perturb(ecg, layout=layout))
    windows = measure_windows(prepared, find_beats(prepared))
    assert len(windows) == columns
    for m in windows:
        assert m.mask.all()
        assert np.abs(m.st_mv - whole.st_mv).max() < 0.1
        assert m.axis_deg == pytest.approx(whole.axis_deg, abs=12)
        assert m.qrs_ms == pytest.approx(whole.qrs_ms, abs=12)


@pytest.mark.parametrize("seconds", [8, 10, 12])
def test_groups_of_leads_that_were_recorded_in_turn_are_measured_with_the_leads_of_all(seconds):
    """A window of 10 s holds one group or parts of two, and that group's leads are not all there are."""
    ecg = simulate("inferior-stemi", seed=5, seconds=4 * seconds)
    signal, samples = np.full_like(ecg.signal, np.nan), seconds * int(ecg.sampling_rate)
    for k in range(4):
        group = slice(3 * k, 3 * k + 3), slice(k * samples, (k + 1) * samples)
        signal[group] = ecg.signal[group]
    prepared = prepare(ECG(signal, ecg.sampling_rate, ecg.leads))
    assert prepared.columns
    whole = measured(ecg)
    for m in measure_windows(prepared, find_beats(prepared)):
        assert m.mask.all()
        assert np.abs(m.st_mv - whole.st_mv).max() < 0.1


@pytest.mark.parametrize("leads", [("I",), ("II", "V5")])
def test_a_gap_of_all_leads_makes_no_columns(leads):
    ecg = simulate("normal", seed=5, seconds=20)
    signal = ecg.signal[[ecg.leads.index(lead) for lead in leads]].copy()
    signal[:, 4000:6000] = np.nan
    prepared = prepare(ECG(signal, ecg.sampling_rate, leads))
    assert not prepared.columns
    assert prepared.start_s.tolist() == [0, 10]


def test_beats_that_stand_for_others_do_not_make_a_p_wave():
    whole, paper = printed("af")
    assert whole.p_present is False
    assert paper.p_present is False


def test_rate_and_beats_are_those_of_the_strip():
    whole, paper = printed("pvc", layout="3x4+II")
    assert paper.heart_rate == whole.heart_rate
    assert paper.n_premature_wide == whole.n_premature_wide > 0
    only_the_strip = measured(perturb(simulate("pvc", seed=3), leads=("II",)))
    assert (paper.table.kind == only_the_strip.table.kind).all()


def test_a_premature_beat_in_a_column_is_not_its_usual_beat():
    """The second of two beats in a column is a PVC: the waves of its leads are those of the other."""
    ecg = simulate("pvc", seed=3)
    whole = measured(ecg)
    table, peaks = whole.table, find_beats(prepare(ecg)).times_s
    wide = peaks[table.wide][0]
    start, stop = (round(s * ecg.sampling_rate) for s in (wide - 1.6, wide + 0.9))
    signal = ecg.signal.copy()
    signal[V1, :start] = signal[V1, stop:] = np.nan
    paper = measured(ECG(signal, ecg.sampling_rate, ecg.leads, ecg.metadata))
    assert paper.s_mv[V1] == pytest.approx(whole.s_mv[V1], abs=0.15)


def test_a_lead_that_shows_no_beat_is_not_measured():
    ecg = simulate("sinus-arrest", seed=0)  # a pause of 4 s
    peaks = find_beats(prepare(ecg)).times_s
    before = peaks[np.argmax(np.diff(peaks))]
    signal, at = ecg.signal.copy(), np.arange(ecg.signal.shape[1]) / ecg.sampling_rate
    signal[V1, (at < before + 0.3) | (at > before + 3)] = np.nan  # T and the next P are in it
    prepared = prepare(ECG(signal, ecg.sampling_rate, ecg.leads, ecg.metadata))
    assert np.isfinite(prepared.parts[0, V1]).any()
    m = measure_windows(prepared, find_beats(prepared))[0]
    assert np.isnan(m.st_mv[V1])
    assert not m.mask[V1]
    assert np.isfinite(m.st_mv[II])


def test_among_many_windows_each_has_its_own_leads():
    """Measured together, a printout, another one with other columns and a whole ECG are what each is alone."""
    from ecgclip.measure.beats import find_beats_of_many
    from ecgclip.measure.measurement import measure_many, windows_of
    from ecgclip.prepare import prepare_many

    ecg, other = simulate("lbbb", seed=1), simulate("inferior-stemi", seed=2)
    ecgs = [perturb(ecg, layout="3x4+II"), ecg, perturb(other, layout="3x4+II"), perturb(other, layout="6x2+II")]
    prepared = prepare_many(ecgs)
    windows = [windows_of(p, b)[0] for p, b in zip(prepared, find_beats_of_many(prepared), strict=True)]
    for together, ecg in zip(measure_many(windows), ecgs, strict=True):
        alone = measured(ecg)
        np.testing.assert_allclose(together.st_mv, alone.st_mv, atol=1e-6)
        np.testing.assert_allclose(together.shape.j_mv, alone.shape.j_mv, atol=1e-6)
        assert together.qrs_ms == alone.qrs_ms
