"""Windows on disk: what the encoder needs, made once; no work is lost to an interruption or a damaged record."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from toy import CONDITIONS, write_ptb_xl

from ecgclip.data import windows
from ecgclip.data.cases import UNKNOWN, Case
from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.data.windows import LIMB, MAX_BEATS, keep_leads, load_windows
from ecgclip.ecg import EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria.readings import Readings, combine, read
from ecgclip.measure.examined import examine
from ecgclip.simulate import simulate, write_record


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return ptb_xl(write_ptb_xl(tmp_path_factory.mktemp("ptb-xl"), 10), KnowledgeBase.load())


def same(one, other):
    for k, array in vars(one).items():
        kind = np.asarray(array).dtype.kind
        assert np.array_equal(array, getattr(other, k), equal_nan=kind == "f"), k


def test_windows_hold_what_the_encoder_needs(cases, tmp_path):
    made = load_windows(cases, tmp_path)
    assert len(made) == 10
    assert made.signal.shape == (10, 12, 1000)
    assert made.mask.all()
    assert (made.length == 1000).all()
    assert set(np.unique(made.findings)) <= {UNKNOWN, 0, 1}
    assert made.r_peaks.shape == (10, MAX_BEATS)
    assert (np.isfinite(made.r_peaks).sum(1) > 4).all()
    wide = made.findings[:, made.finding_keys.index("qrs_120_or_more")]
    assert wide[1] == 1, list(CONDITIONS)
    assert wide[0] == 0, list(CONDITIONS)
    assert not made.signal.flags.writeable
    assert isinstance(made.signal, np.memmap), "they need not fit into memory"


def test_readings_are_those_of_the_record_when_it_is_asked(tmp_path):
    """So that what training fits on the criteria holds for `classify`."""
    path = write_record(simulate("pvc", seed=1, seconds=24, sampling_rate=250), tmp_path / "a").removesuffix(".hea")
    made = load_windows([Case("s", path, "a", age=60, sex="male")], tmp_path)
    examined = examine(read_ecg(path))
    assert len(made) == len(examined.measurements) == 3
    assert made.readings.dtype == np.float32
    assert np.array_equal(made.readings, [read(m) for m in examined.measurements], equal_nan=True)
    asked, kept = Readings.of_record(examined.measurements), combine(np.array(made.readings))
    assert np.array_equal(asked.rows[0], kept, equal_nan=True)


def test_lead_subsets_differ_between_records_but_not_with_where_the_data_set_lies(tmp_path):
    made = []
    for place in ("one", "other"):
        paths = [
            write_record(simulate("normal", seed=i), tmp_path / place / f"p{i}" / "ecg").removesuffix(".hea")
            for i in (1, 2)
        ]
        cases = [Case("toy", path, patient=path) for path in paths]
        made.append([rows[0]["leads"] for rows in windows.case_windows(cases, ())])
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(*made[0])


def test_they_are_kept_and_made_again_when_the_cases_change(cases, tmp_path, monkeypatch):
    first = load_windows(cases[:4], tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(windows, "ProcessPoolExecutor", None)
        same(first, load_windows(cases[:4], tmp_path))
    assert len(load_windows(cases[:3], tmp_path)) == 3
    assert len(list(tmp_path.glob("windows-*/"))) == 2
    assert not list(tmp_path.glob("*.partial"))


def test_an_interruption_costs_the_block_under_way(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "BLOCK", 3)
    whole, begun = load_windows(cases, tmp_path / "whole"), []

    class Stopped(windows.ProcessPoolExecutor):
        def map(self, function, chunks, *settings):
            begun.append(sum(len(cases) for cases in chunks))
            if len(begun) == 3:
                raise KeyboardInterrupt
            return super().map(function, chunks, *settings)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(windows, "ProcessPoolExecutor", Stopped)
        load_windows(cases, tmp_path / "stopped")
    (partial,) = (tmp_path / "stopped").glob("*.partial")
    with (partial / "signal").open("ab") as file:
        file.write(b"half a row")  # of the block that was under way
    with monkeypatch.context() as patch:
        patch.setattr(windows, "ProcessPoolExecutor", Stopped)
        same(whole, load_windows(cases, tmp_path / "stopped"))
    assert begun == [3, 3, 3, 3, 1], "the two blocks that were done are not done again"


def test_a_record_that_cannot_be_read_is_named_and_left_out(tmp_path, capsys):
    for name in ("a", "b", "c"):
        write_record(simulate("normal", sampling_rate=100, seconds=24 if name == "c" else 10), tmp_path / name)
    (tmp_path / "b.dat").write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = load_windows([Case("s", str(tmp_path / n), n) for n in ("a", "b", "c")], tmp_path)
    assert made.case.tolist() == [0, 2, 2, 2]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    assert str(tmp_path / "b") in line
    with pytest.raises(EcgclipError, match="no record"):
        load_windows([Case("s", str(tmp_path / "b"), "b")], tmp_path)


def test_windows_at_500_hz_are_those_of_100_hz_seen_finer(tmp_path):
    path = Path(write_record(simulate("lbbb", seed=2, seconds=7), tmp_path / "a"))
    case = Case("s", str(path.with_suffix("")), "a")
    fine, coarse = (load_windows([case], tmp_path, sampling_rate=rate, variants=1) for rate in (500, 100))
    assert fine.signal.shape == (1, 12, 5000)
    assert fine.length[0] == 3500
    assert coarse.length[0] == 700
    assert np.array_equal(fine.r_peaks, coarse.r_peaks, equal_nan=True)
    assert fine.features.shape[1] == 1
    one, other = fine.signal[0, :, ::5].astype(float), coarse.signal[0].astype(float)
    assert min(np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)) > 0.99


def test_leads_are_kept_as_devices_have_them():
    rng = np.random.default_rng(0)
    subsets = [keep_leads(rng) for _ in range(2000)]
    assert all(leads.any() for leads in subsets)
    assert all(leads[LIMB].sum() in (0, 1, 6) for leads in subsets), "two limb leads give all six"
    single = [int(np.flatnonzero(leads)[0]) for leads in subsets if leads.sum() == 1]
    assert len(single) > 600
    assert set(single) == set(range(12))
