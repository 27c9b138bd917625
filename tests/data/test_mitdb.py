"""MIT-BIH: stretches with their beats and, where one fills it, their rhythm."""

import numpy as np
import pytest
import wfdb
from toy import write_simulated

from ecgclip.data.beats import match_beats
from ecgclip.data.cases import UNKNOWN
from ecgclip.data.mitdb import BEATS, DS1, DS2, RHYTHMS, mitdb
from ecgclip.data.windows import load_windows
from ecgclip.simulate import simulate


@pytest.fixture(scope="module")
def arrhythmia(tmp_path_factory):
    """60 s at 100 Hz: sinus rhythm, from 35 s on atrial fibrillation, one PVC at the fifth beat."""
    root = tmp_path_factory.mktemp("mitdb")
    write_simulated(root / "100", leads=("II", "V1"), seconds=60)
    peaks = np.array(simulate("normal", sampling_rate=100, seconds=60).metadata["truth"]["r_peaks_s"])
    at = np.concatenate([[10], (peaks * 100).astype(int), [3500]])
    symbol = ["+", *("V" if i == 4 else "N" for i in range(len(peaks))), "+"]
    notes = ["(N", *[""] * len(peaks), "(AFIB"]
    order = np.argsort(at, kind="stable")
    wfdb.wrann(
        "100",
        "atr",
        at[order],
        symbol=[symbol[i] for i in order],
        aux_note=[notes[i] for i in order],
        fs=100,
        write_dir=str(root),
    )
    return root, peaks


def test_mitdb_rhythm_is_known_only_where_one_fills_the_stretch(arrhythmia, kb):
    root, _ = arrhythmia
    cases = mitdb(root, kb, every_s=10)
    by_start = {c.start_s: c.statements for c in cases}
    assert by_start[10.0]["sinus-rhythm"]
    assert by_start[10.0]["atrial-fibrillation"] is False
    assert "sinus-rhythm" not in by_start[30.0], "the rhythm changes at 35 s"
    assert by_start[40.0]["atrial-fibrillation"]
    assert by_start[40.0]["sinus-rhythm"] is False
    assert by_start[10.0]["premature-ventricular-contraction"] is False
    assert {c.patient for c in cases} == {"100"}
    assert not any(c.complete for c in cases)
    assert {c.fold for c in cases} == {2}, "of DS2"


def test_mitdb_beats_meet_their_r_peaks(arrhythmia, kb, tmp_path):
    root, peaks = arrhythmia
    case = next(c for c in mitdb(root, kb, every_s=1) if c.start_s <= peaks[4] - 1 < c.start_s + 1)
    assert case.statements["premature-ventricular-contraction"]
    windows = load_windows([case], tmp_path)
    kinds = [windows.beat_concepts[b] for b in windows.beats[0] if b != UNKNOWN]
    assert kinds.count(BEATS["V"]) == 1
    assert set(kinds) <= {BEATS["V"], BEATS["N"]}
    assert len(kinds) > 6
    found = windows.r_peaks[0][windows.beats[0] == windows.beat_concepts.index(BEATS["V"])]
    assert abs(found[0] + case.start_s - peaks[4]) < 0.15


def rhythm_record(folder, name, notes, seconds=45, beats=()):
    """A record at 100 Hz with rhythm `notes` (s, code) and `beats` (s, symbol), the last annotation at its end."""
    write_simulated(folder / name, leads=("II", "V1"), seconds=seconds)
    rows = sorted([(t, "+", note) for t, note in notes] + [(t, s, "") for t, s in beats] + [(seconds - 0.1, "|", "")])
    wfdb.wrann(
        name, "atr", np.array([round(t * 100) for t, *_ in rows]), symbol=[s for _, s, _ in rows],
        aux_note=[note for *_, note in rows], fs=100, write_dir=str(folder),
    )  # fmt: skip


def test_mitdb_stretches_patients_and_record_sets(kb, tmp_path):
    beats = [(0.5, "N"), (21.0, "A"), (30.0, "V"), (41.5, "Q")]
    for name in ("101", "102", "202", "213"):
        rhythm_record(tmp_path, name, [(0, "(AFL"), (12, "(XYZ"), (19.5, "(N")], beats=beats)
    write_simulated(tmp_path / "999", leads=("II",))  # nothing is annotated
    cases = mitdb(tmp_path, kb)
    assert [(c.start_s, c.stop_s) for c in cases[:2]] == [(0, 10), (20, 30)]
    assert len(cases) == 8
    patients = {c.path.rsplit("/", 1)[1]: (c.patient, c.fold) for c in cases}
    assert patients == {"101": ("101", 1), "102": ("102", 0), "202": ("201", 2), "213": ("213", 2)}, "201 is 202"
    first, second = cases[:2]
    assert first.source == "mitdb"
    assert not first.complete
    assert not first.annotated
    assert first.beats == ((0.5, BEATS["N"]),)
    assert second.beats == ((1.0, BEATS["A"]),), "a beat at 30 s is of the next"
    assert first.statements["atrial-flutter"]
    assert first.statements["supraventricular-arrhythmia"], "and what is broader"
    assert first.statements["sinus-rhythm"] is False
    assert second.statements["sinus-rhythm"]
    assert second.statements["premature-atrial-contraction"]
    assert not first.statements["premature-atrial-contraction"]
    every = {c.start_s: c.statements for c in mitdb(tmp_path, kb, every_s=11) if c.path.endswith("101")}
    assert set(every) == {0, 11, 22, 33}
    assert set(every[11]) == {BEATS["V"], BEATS["A"]}, "a rhythm of no name"
    assert every[33][BEATS["V"]] is False
    assert every[22][BEATS["V"]]


def test_the_record_sets_of_mit_bih():
    assert len(DS1) == len(DS2) == 22
    assert not set(DS1) & set(DS2)
    assert not {"102", "104", "107", "217"} & {*DS1, *DS2}, "paced"


def test_the_codes_of_mit_bih_are_those_of_physionet():
    rhythms = "AB AFIB AFL B BII IVR N NOD P PREX SBR SVTA T VFL VT"
    assert " ".join(sorted(code.removeprefix("(") for code in RHYTHMS)) == rhythms
    assert {r[0] for r in RHYTHMS} == {"("}
    table = wfdb.io.annotation.ann_label_table
    beats = {s for i, s in zip(table.label_store, table.symbol, strict=True) if wfdb.io.annotation.is_qrs[i]}
    assert set(BEATS) == beats - set("!B?nr"), "! is a flutter wave; there are none of the others"
    numbers = [*range(100, 110), *range(111, 120), *range(121, 125), *range(200, 204), 205, *range(207, 211)]
    numbers += [*range(212, 216), 217, *range(219, 224), 228, *range(230, 235)]
    assert len(numbers) == 48
    assert {*DS1, *DS2} == {str(n) for n in numbers} - {"102", "104", "107", "217"}, "paced"


def test_the_nearest_of_two_within_150_ms_is_the_match():
    peaks = np.array([1.0, 1.4, np.nan])
    assert match_beats(np.array([0.8, 0.9, 1.19, 1.21, 1.5, 9]), peaks).tolist() == [-1, 0, -1, -1, 1, -1]
    assert match_beats(np.array([1.2]), np.array([1.1, 1.3])).tolist() == [0]
    assert match_beats(np.array([1.0, 2.0]), np.array([])).tolist() == [-1, -1]
    assert match_beats(np.array([]), peaks).tolist() == []
    assert match_beats(np.array([np.nan]), peaks).tolist() == [-1]
