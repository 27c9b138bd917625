"""Loaders for the public layouts: what is not annotated is unknown, and a patient is never in two parts."""

import shutil

import numpy as np
import pytest
import wfdb
from toy import write_mimic, write_ptb_xl

from ecgclip.data.cases import DOUBTED_CONCEPTS, MEASURED_CONCEPTS, SUPERCLASSES, UNKNOWN, Case, known_statements
from ecgclip.data.challenges import challenge_2011, challenge_2017, challenge_2020, chapman, cpsc_2018
from ecgclip.data.folder import folder, labelled
from ecgclip.data.ludb import LUDB_WORDS, ludb
from ecgclip.data.mimic import mimic_iv_ecg
from ecgclip.data.mitdb import BEATS, DS1, DS2, RHYTHMS, mitdb
from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.data.windows import load_windows
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.wfdb import read_ecg
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.guideline import finding_texts
from ecgclip.simulate import simulate, write_record


@pytest.fixture(scope="module")
def kb():
    return KnowledgeBase.load()


def record(path, condition="normal", leads=None, **kwargs):
    ecg = simulate(condition, sampling_rate=kwargs.pop("sampling_rate", 100), **kwargs)
    if leads:
        ecg = ECG(ecg.signal[: len(leads)], ecg.sampling_rate, leads, ecg.metadata)
    write_record(ecg, path)


# --- statements -------------------------------------------------------------------------------------------------------


def test_what_is_present_makes_its_broader_concepts_present(kb):
    listed = {"left-bundle-branch-block", "right-bundle-branch-block", "atrial-fibrillation"}
    known = known_statements(kb, {"left-bundle-branch-block"}, listed)
    assert known["left-bundle-branch-block"] and not known["right-bundle-branch-block"]
    assert all(known[a] for a in kb.ancestors("left-bundle-branch-block"))
    assert "wellens-syndrome" not in known


# --- PTB-XL -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("public"), 10)


def test_ptb_xl_with_the_columns_of_the_public_file_alone(public, kb):
    cases = ptb_xl(public, kb)
    assert len(cases) == 10 and all(c.complete and c.report for c in cases)
    lbbb = cases[1]
    assert lbbb.statements["left-bundle-branch-block"] and lbbb.statements["conduction-disturbance"]
    assert lbbb.statements["normal-ecg"] is False and lbbb.statements["atrial-fibrillation"] is False
    assert "sinus-rhythm" in lbbb.annotated and "conduction-disturbance" in lbbb.annotated
    assert (lbbb.age, lbbb.sex, cases[0].sex, lbbb.fold) == (60.0, "female", "male", 1)
    assert "wellens-syndrome" not in lbbb.statements, "no SCP-ECG statement, so nobody looked for it"


@pytest.mark.parametrize("name", ["../records100/00000/00001_lr", "/etc/00001_lr"])
def test_ptb_xl_names_no_file_outside_its_folder(name, kb, tmp_path):
    table = write_ptb_xl(tmp_path, 2, signals=False) / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("records100/00000/00001_lr", name))
    with pytest.raises(EcgclipError, match=r"ptbxl_database\.csv: line 2: .* leads out of the folder"):
        ptb_xl(tmp_path, kb, signals=False)


def test_ptb_xl_folds_and_rows_without_a_signal(public, kb, tmp_path):
    assert {c.fold for c in ptb_xl(public, kb, folds=[2, 3])} == {2, 3}
    bare = write_ptb_xl(tmp_path, 10, signals=False)
    assert ptb_xl(bare, kb) == [] and len(ptb_xl(bare, kb, signals=False)) == 10


def test_of_a_reconstructed_row_only_what_is_named_is_known(kb, tmp_path):
    extra = {"row_reconstructed": ["True", "False"] * 2, "diagnostic_superclass": ["NORM", "CD", "", "HYP"]}
    partial, whole, af, _ = ptb_xl(write_ptb_xl(tmp_path, 4, extra), kb)
    assert whole.complete and not partial.complete
    assert partial.statements["normal-ecg"] and partial.statements["sinus-rhythm"]
    assert "atrial-fibrillation" not in partial.statements, "no row, no knowledge"
    assert partial.statements["myocardial-infarction"] is False, "superclasses are complete"
    assert af.statements["normal-ecg"] is False


def test_ptb_xl_elsewhere_is_one_line(tmp_path, kb):
    with pytest.raises(EcgclipError, match=r"no ptbxl_database\.csv"):
        ptb_xl(tmp_path, kb)


def test_all_records_of_a_patient_fall_into_the_same_part(public, kb):
    cases = ptb_xl(public, kb)
    for a, b in zip(cases[::2], cases[1::2], strict=True):
        assert a.patient == b.patient and a.share(7) == b.share(7)
    shares = [Case("s", "p", str(i)).share(4) for i in range(400)]
    assert min(np.bincount(shares)) > 60 and len(set(shares)) == 4


# --- other sources ----------------------------------------------------------------------------------------------------


def test_challenge_2017(tmp_path, kb):
    lines = ["record,label"]
    for name, label in (("A1", "N"), ("A2", "A"), ("A3", "O"), ("A4", "~")):
        record(tmp_path / name, leads=("I",))
        lines.append(f"{name},{label}")
    (tmp_path / "REFERENCE.csv").write_text("\n".join([*lines, "A9,N"]))
    n, af, other, noisy = challenge_2017(tmp_path, kb)
    assert n.statements["sinus-rhythm"] and n.statements["atrial-fibrillation"] is False
    assert af.statements["atrial-fibrillation"] and "atrial-flutter" not in af.statements
    assert other.statements["atrial-fibrillation"] is False and "sinus-rhythm" not in other.statements
    assert noisy.statements == {"poor-signal-quality": True}
    assert not any(c.complete for c in (n, af, other, noisy)), "one lead and four classes make no report"
    assert "left-bundle-branch-block" not in n.statements


def test_challenge_2011(tmp_path, kb):
    for name in ("11", "12"):
        record(tmp_path / name)
    (tmp_path / "REFERENCE.csv").write_text("record,acceptable\n11,1\n12,0\n")
    good, bad = challenge_2011(tmp_path, kb)
    assert good.statements == {"poor-signal-quality": False} and bad.statements == {"poor-signal-quality": True}


@pytest.fixture(scope="module")
def arrhythmia(tmp_path_factory):
    """60 s at 100 Hz: sinus rhythm, from 35 s on atrial fibrillation, one PVC at the fifth beat."""
    root = tmp_path_factory.mktemp("mitdb")
    record(root / "100", leads=("II", "V1"), seconds=60)
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
    assert by_start[10.0]["sinus-rhythm"] and by_start[10.0]["atrial-fibrillation"] is False
    assert "sinus-rhythm" not in by_start[30.0], "the rhythm changes at 35 s"
    assert by_start[40.0]["atrial-fibrillation"] and by_start[40.0]["sinus-rhythm"] is False
    assert by_start[10.0]["premature-ventricular-contraction"] is False
    assert {c.patient for c in cases} == {"100"} and not any(c.complete for c in cases)
    assert {c.fold for c in cases} == {2}, "of DS2"


def test_mitdb_beats_meet_their_r_peaks(arrhythmia, kb, tmp_path):
    root, peaks = arrhythmia
    case = next(c for c in mitdb(root, kb, every_s=1) if c.start_s <= peaks[4] - 1 < c.start_s + 1)
    assert case.statements["premature-ventricular-contraction"]
    windows = load_windows([case], tmp_path)
    kinds = [windows.beat_concepts[b] for b in windows.beats[0] if b != UNKNOWN]
    assert kinds.count(BEATS["V"]) == 1 and set(kinds) <= {BEATS["V"], BEATS["N"]} and len(kinds) > 6
    found = windows.r_peaks[0][windows.beats[0] == windows.beat_concepts.index(BEATS["V"])]
    assert abs(found[0] + case.start_s - peaks[4]) < 0.15


def dx(path, *codes, condition="normal"):
    record(path, condition)
    with path.with_suffix(".hea").open("a") as header:
        header.write(f"#Dx: {','.join(codes)}\n")


@pytest.fixture(scope="module")
def challenge(tmp_path_factory):
    root = tmp_path_factory.mktemp("challenge")
    dx(root / "g1" / "E00001", "426783006")  # sinus rhythm
    dx(root / "g1" / "E00002", "164889003", condition="af")
    dx(root / "g2" / "JS00001", "164909002", condition="lbbb")
    dx(root / "g2" / "A0001", "426783006")
    dx(root / "g2" / "A0002", "AF", condition="af")
    return root


def test_a_concept_is_annotated_only_where_its_source_names_it(challenge, kb):
    (challenge / "g1" / "E00009.hea").write_text("not a header\n")
    cases = {c.path.rsplit("/", 1)[1]: c for c in challenge_2020(challenge, kb)}
    assert set(cases) == {"E00001", "E00002", "JS00001", "A0001", "A0002"}, "an unreadable record is left out"
    assert cases["E00001"].statements["atrial-fibrillation"] is False
    assert "left-bundle-branch-block" not in cases["E00001"].statements
    assert "atrial-fibrillation" not in cases["JS00001"].statements
    assert cases["JS00001"].annotated == {"left-bundle-branch-block"} and cases["A0002"].source == "A"
    together = {c.path.rsplit("/", 1)[1]: c for c in folder(challenge, kb)}
    assert together["E00001"].statements["left-bundle-branch-block"] is False, "one folder, one source"


def test_the_split_of_a_folder_does_not_depend_on_where_it_lies(challenge, kb, tmp_path):
    shutil.copytree(challenge, tmp_path / "elsewhere")
    shares = [sorted(c.share(97) for c in folder(root, kb)) for root in (challenge, tmp_path / "elsewhere")]
    assert shares[0] == shares[1] and len(set(shares[0])) > 2


def test_cpsc2018_has_nine_classes_and_calls_sinus_rhythm_normal(challenge, kb):
    cases = {c.path.rsplit("/", 1)[1]: c for c in cpsc_2018(challenge, kb)}
    assert set(cases) == {"A0001", "A0002"} and len(cases["A0001"].statements) == 9
    assert cases["A0001"].annotated == {"normal-ecg"} and cases["A0002"].annotated == {"atrial-fibrillation"}


def test_cpsc2018_as_the_challenge_of_2020_published_it(tmp_path, kb):
    """cpsc_2018/g1/A0001.hea with a .mat of MATLAB 4: 24 bytes, then samples of 16 bits, 1000 to a mV."""
    folder = tmp_path / "cpsc_2018" / "g1"
    folder.mkdir(parents=True)
    ecg = simulate("af", seed=1)
    samples = (np.nan_to_num(ecg.signal) * 1000).round().astype("<i2")
    (folder / "A0001.mat").write_bytes(bytes(24) + samples.T.tobytes())
    lines = [f"A0001 12 500 {samples.shape[1]} 12-May-2020 12:33:59"]
    lines += [f"A0001.mat 16+24 1000/mV 16 0 {row[0]} 0 0 {lead}" for row, lead in zip(samples, ecg.leads, strict=True)]
    (folder / "A0001.hea").write_text("\n".join([*lines, "#Age: 81", "#Sex: Female", "#Dx: 164889003,164865005", ""]))
    (case,) = cpsc_2018(tmp_path, kb)
    assert case.annotated == {"atrial-fibrillation"}, "the other code is none of the nine classes"
    assert (case.age, case.sex, case.source) == (81, "female", "A")
    assert np.allclose(read_ecg(case.path).signal, ecg.signal, atol=0.001)


def test_chapman_in_its_nested_folders(tmp_path, kb):
    dx(tmp_path / "WFDBRecords" / "01" / "010" / "JS00001", "164889003", "59118001", condition="af")
    dx(tmp_path / "WFDBRecords" / "01" / "011" / "JS00002", "426177001")
    first, second = chapman(tmp_path, kb)
    assert first.annotated == {"atrial-fibrillation", "right-bundle-branch-block"}
    assert second.annotated == {"sinus-bradycardia"} and second.statements["atrial-fibrillation"] is False
    assert first.patient != second.patient and first.source == second.source == "chapman"


def test_challenge_2017_with_corrected_labels_and_records_in_folders(tmp_path, kb):
    record(tmp_path / "training" / "A00" / "A00001", leads=("I",))
    (tmp_path / "REFERENCE.csv").write_text("A00001,N\n")
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,A\n")
    (case,) = challenge_2017(tmp_path, kb)
    assert case.statements["atrial-fibrillation"] and read_ecg(case.path).leads
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,X\n")
    with pytest.raises(EcgclipError, match="A00001"):
        challenge_2017(tmp_path, kb)


def test_ludb_says_rhythm_axis_and_findings_in_comment_lines(tmp_path, kb):
    for name, lines in (
        ("1", ["Rhythm: Sinus bradycardia.", "Electric axis of the heart: left axis deviation.", "Left ventricular hypertrophy."]),
        ("2", ["Rhythm: Atrial flutter, typical.", "Electric axis of the heart: normal.", "Ischemia: anterior wall.", "I degree AV block."]),
    ):  # fmt: skip
        record(tmp_path / "data" / name)
        header = tmp_path / "data" / f"{name}.hea"
        plain = [line for line in header.read_text().splitlines() if not line.startswith("#")]
        comments = ["#<age>: 51", "#<sex>: F", "#<diagnoses>:", *(f"#{line}" for line in lines)]
        header.write_text("\n".join([*plain, *comments, ""]))
    first, second = ludb(tmp_path, kb)
    assert first.annotated == {"sinus-bradycardia", "left-axis-deviation", "left-ventricular-hypertrophy"}
    assert second.annotated == {"atrial-flutter", "myocardial-ischemia", "first-degree-av-block"}
    assert first.statements["atrial-flutter"] is False and (first.age, first.sex) == (51, "female")


def test_a_folder_with_a_csv_of_labels(tmp_path, kb, capsys):
    rows = ["record,labels,patient,age,sex", "a,AF;LBBB,p1,70,F", "sub/b.hea,,p1,,", "c,Quatsch;164889003,p2,60.5,male"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    a, b, c = labelled(tmp_path, kb)
    assert a.annotated == {"atrial-fibrillation", "left-bundle-branch-block"} and (a.age, a.sex) == (70, "female")
    assert b.annotated == set() and b.statements["atrial-fibrillation"] is False and b.path.endswith("sub/b")
    assert c.annotated == {"atrial-fibrillation"} and (c.age, c.sex) == (60.5, "male")
    assert (a.patient, b.patient, c.patient) == ("p1", "p1", "p2") and "Quatsch" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, problem",
    [
        (None, "no labels.csv"),
        ("record,label\n", "labels"),
        ("record,labels,age\na,AF,old\n", "line 2"),
        ("record,labels,age\na,AF,inf\n", "line 2: age 'inf' is no number from 0 to 130"),
        ("record,labels,age\na,AF,\nb,AF,-3\n", "line 3: age '-3'"),
        ("record,labels\n../af,AF\n", r"line 2: record '\.\./af' leads out of the folder"),
        ("record,labels\nsub/../../af.hea,AF\n", "line 2: .* leads out of the folder"),
        ("record,labels\n/af,AF\n", "line 2: record '/af' leads out of the folder"),
        ("record,labels\n,AF\n", "line 2"),
    ],
)
def test_a_csv_of_labels_that_is_wrong_is_one_line(tmp_path, kb, text, problem):
    if text:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(EcgclipError, match=problem):
        labelled(tmp_path, kb)


def test_the_record_sets_of_mit_bih():
    assert len(DS1) == len(DS2) == 22 and not set(DS1) & set(DS2)
    assert not {"102", "104", "107", "217"} & {*DS1, *DS2}, "paced"


def test_ptb_xl_at_500_hz_where_it_is_wanted_or_all_there_is(kb, tmp_path):
    root = write_ptb_xl(tmp_path, 3)
    table = (root / "ptbxl_database.csv").read_text().splitlines()
    (root / "ptbxl_database.csv").write_text(
        "\n".join([table[0], *(f"{row}records500/{i}" for i, row in enumerate(table[1:]))])
    )
    for i in (0, 1):
        record(root / f"records500/{i}", sampling_rate=500)
    (root / "records100/00000/00001_lr.hea").unlink()
    rates = lambda **options: [read_ecg(c.path).sampling_rate for c in ptb_xl(root, kb, **options)]
    assert rates() == [500, 100, 100] and rates(fine=True) == [500, 500, 100]


# --- MIMIC-IV-ECG -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mimic(tmp_path_factory):
    return write_mimic(tmp_path_factory.mktemp("mimic-iv-ecg"), 10)


def test_mimic_reports_are_the_lines_of_the_device(mimic, kb):
    cases = mimic_iv_ecg(mimic, kb)
    assert len(cases) == 10 and len({c.patient for c in cases}) == 5
    block = cases[1]
    assert block.report == "Sinus rhythm. Left bundle branch block. Abnormal ECG."
    assert block.statements["left-bundle-branch-block"] and block.statements["conduction-disturbance"]
    assert block.statements["atrial-fibrillation"] is False, "the device states it elsewhere"
    assert {"left-ventricular-hypertrophy", "hypertrophy"}.isdisjoint(cases[4].statements), (
        "hedged, and all that is broader"
    )
    assert cases[4].statements["inferior-myocardial-infarction"], "inferior myocardial infarction - age undetermined"
    assert "brugada-type-1" not in block.statements, "the device never states it"
    assert all(c.complete for c in cases)


def test_mimic_rows_without_a_file_keep_their_report(mimic, kb, tmp_path):
    copy = shutil.copytree(mimic, tmp_path / "copy")
    shutil.rmtree(copy / "files")
    assert mimic_iv_ecg(copy, kb) == [] and len(mimic_iv_ecg(copy, kb, signals=False)) == 10
    table = (copy / "record_list.csv").read_text()
    (copy / "record_list.csv").write_text(table.replace("files/p1000/", "../files/p1000/", 1))
    with pytest.raises(EcgclipError, match="leads out of the folder"):
        mimic_iv_ecg(copy, kb)
    (copy / "machine_measurements.csv").unlink()
    with pytest.raises(EcgclipError, match=r"no machine_measurements\.csv"):
        mimic_iv_ecg(copy, kb)


# --- what the tables of this file say -----------------------------------------------------------------------------------


def test_every_name_in_the_tables_is_a_concept_or_a_finding(kb):
    for concepts in (SUPERCLASSES.values(), BEATS.values(), RHYTHMS.values(), LUDB_WORDS.values(), MEASURED_CONCEPTS, DOUBTED_CONCEPTS):  # fmt: skip
        assert set(concepts) <= set(kb.concepts)
    for keys in (*MEASURED_CONCEPTS.values(), *DOUBTED_CONCEPTS.values()):
        for key in keys:
            assert any(finding.startswith(key) if key.endswith(":") else finding == key for finding in finding_texts())
    assert all(word == word.lower() and kb.find(word) is None for word in LUDB_WORDS), "those need no second spelling"
    assert UNKNOWN == -1, "as in truth everywhere"


def test_the_codes_of_mit_bih_are_those_of_physionet():
    rhythms = "AB AFIB AFL B BII IVR N NOD P PREX SBR SVTA T VFL VT"
    assert " ".join(sorted(code.removeprefix("(") for code in RHYTHMS)) == rhythms and {r[0] for r in RHYTHMS} == {"("}
    table = wfdb.io.annotation.ann_label_table
    beats = {s for i, s in zip(table.label_store, table.symbol, strict=True) if wfdb.io.annotation.is_qrs[i]}
    assert set(BEATS) == beats - set("!B?nr"), "! is a flutter wave; there are none of the others"
    numbers = [*range(100, 110), *range(111, 120), *range(121, 125), *range(200, 204), 205, *range(207, 211)]
    numbers += [*range(212, 216), 217, *range(219, 224), 228, *range(230, 235)]
    assert len(numbers) == 48 and {*DS1, *DS2} == {str(n) for n in numbers} - {"102", "104", "107", "217"}, "paced"


# --- the rest of each layout --------------------------------------------------------------------------------------------


def test_a_row_of_ptb_xl_becomes_a_case(kb, tmp_path):
    extra = {"device": ["CS-12   E", "AT-6 C 5.5", "", "CS100    3"]}
    root = write_ptb_xl(tmp_path, 4, extra, fold=3)
    table = (root / "ptbxl_database.csv").read_text().splitlines()
    cells = [line.split(",") for line in table]
    cells[2][1], cells[3][2], cells[3][3] = "", "", "nan"  # no patient; neither age nor sex
    (root / "ptbxl_database.csv").write_text("\n".join(",".join(row) for row in cells) + "\n", encoding="utf-8")
    normal, lbbb, af, lvh = ptb_xl(root, kb)
    assert [c.patient for c in (normal, lbbb, af)] == ["0.0", "2", "1.0"], "without a patient, a record stands alone"
    assert [c.device for c in (normal, lbbb, af, lvh)] == ["CS-12", "AT-6", "", "CS100"]
    assert (af.age, af.sex, lvh.age, lvh.sex) == (None, None, 60, "female")
    assert {c.fold for c in (normal, lbbb, af, lvh)} == {3} and {c.source for c in (normal, lbbb)} == {"ptb-xl"}
    assert normal.subclasses == {"NORM"} and lbbb.subclasses == {"CLBBB"} and af.subclasses == frozenset()
    assert normal.annotated == {"normal-ecg", "sinus-rhythm"}
    assert lbbb.report == "sinusrhythmus. linksschenkelblock" and lbbb.path.endswith("00002_lr")
    assert (lbbb.start_s, lbbb.stop_s, lbbb.beats) == (0, None, ())
    assert {c: normal.statements[c] for c in SUPERCLASSES.values()} == {
        "normal-ecg": True, "myocardial-infarction": False, "st-t-change": False,
        "conduction-disturbance": False, "hypertrophy": False,
    }  # fmt: skip


def test_classes_that_a_column_states_go_before_those_of_the_codes(kb, tmp_path):
    extra = {"diagnostic_superclass": ["MI;CD"], "diagnostic_subclass": ["AMI;LAFB/LPFB"]}
    (case,) = ptb_xl(write_ptb_xl(tmp_path, 1, extra), kb)  # its only code is NORM
    assert case.statements["myocardial-infarction"] and case.statements["normal-ecg"] is False
    assert case.subclasses == {"AMI", "LAFB/LPFB"}


def test_umlauts_in_a_report_survive(kb, tmp_path):
    root = write_ptb_xl(tmp_path, 1)
    text = (root / "ptbxl_database.csv").read_text().replace("normal ecg.", "“övrigt” unauffällig")
    (root / "ptbxl_database.csv").write_bytes(text.encode())
    assert ptb_xl(root, kb)[0].report == "sinus rhythm. “övrigt” unauffällig"


def rhythm_record(folder, name, notes, seconds=45, beats=()):
    """A record at 100 Hz with rhythm `notes` (s, code) and `beats` (s, symbol), the last annotation at its end."""
    record(folder / name, leads=("II", "V1"), seconds=seconds)
    rows = sorted([(t, "+", note) for t, note in notes] + [(t, s, "") for t, s in beats] + [(seconds - 0.1, "|", "")])
    wfdb.wrann(
        name, "atr", np.array([round(t * 100) for t, *_ in rows]), symbol=[s for _, s, _ in rows],
        aux_note=[note for *_, note in rows], fs=100, write_dir=str(folder),
    )  # fmt: skip


def test_mitdb_stretches_patients_and_record_sets(kb, tmp_path):
    beats = [(0.5, "N"), (21.0, "A"), (30.0, "V"), (41.5, "Q")]
    for name in ("101", "102", "202", "213"):
        rhythm_record(tmp_path, name, [(0, "(AFL"), (12, "(XYZ"), (19.5, "(N")], beats=beats)
    record(tmp_path / "999", leads=("II",))  # nothing is annotated
    cases = mitdb(tmp_path, kb)
    assert [(c.start_s, c.stop_s) for c in cases[:2]] == [(0, 10), (20, 30)] and len(cases) == 8
    patients = {c.path.rsplit("/", 1)[1]: (c.patient, c.fold) for c in cases}
    assert patients == {"101": ("101", 1), "102": ("102", 0), "202": ("201", 2), "213": ("213", 2)}, "201 is 202"
    first, second = cases[:2]
    assert first.source == "mitdb" and not first.complete and not first.annotated
    assert first.beats == ((0.5, BEATS["N"]),) and second.beats == ((1.0, BEATS["A"]),), "a beat at 30 s is of the next"
    assert first.statements["atrial-flutter"] and first.statements["supraventricular-arrhythmia"], "and what is broader"
    assert first.statements["sinus-rhythm"] is False and second.statements["sinus-rhythm"]
    assert second.statements["premature-atrial-contraction"] and not first.statements["premature-atrial-contraction"]
    every = {c.start_s: c.statements for c in mitdb(tmp_path, kb, every_s=11) if c.path.endswith("101")}
    assert set(every) == {0, 11, 22, 33} and set(every[11]) == {BEATS["V"], BEATS["A"]}, "a rhythm of no name"
    assert every[33][BEATS["V"]] is False and every[22][BEATS["V"]]


def test_challenges_without_their_table_are_one_line(tmp_path, kb):
    with pytest.raises(EcgclipError, match=r"no REFERENCE\.csv or REFERENCE-v3\.csv here"):
        challenge_2017(tmp_path, kb)
    with pytest.raises(EcgclipError, match=r"no REFERENCE\.csv here"):
        challenge_2011(tmp_path, kb)


def test_every_record_of_the_challenges_is_a_patient(tmp_path, kb):
    for name in ("A1", "A2"):
        record(tmp_path / name, leads=("I",))
    (tmp_path / "REFERENCE.csv").write_text("A1,N\nA2,O\n")
    for loader, source in ((challenge_2017, "challenge-2017"), (challenge_2011, "challenge-2011")):
        cases = loader(tmp_path, kb)
        assert [(c.source, c.patient, c.path) for c in cases] == [(source, n, str(tmp_path / n)) for n in ("A1", "A2")]
    normal, other = challenge_2017(tmp_path, kb)
    assert normal.statements == {"sinus-rhythm": True, "poor-signal-quality": False} | dict.fromkeys(
        ("atrial-fibrillation", "atrial-flutter", "irregular-rhythm"), False
    )
    assert other.statements == {"irregular-rhythm": True, "atrial-fibrillation": False, "poor-signal-quality": False}


def test_a_record_without_a_diagnosis_line_is_no_case(challenge, kb, tmp_path):
    root = shutil.copytree(challenge, tmp_path / "copy")
    record(root / "g1" / "E00003")
    cases = {c.path.rsplit("/", 1)[1]: c for c in folder(root, kb)}
    assert "E00003" not in cases and len(cases) == 5
    assert cases["E00001"].patient == "g1/E00001" and cases["E00001"].source == "folder" and cases["E00001"].complete
    assert isinstance(cases["E00001"].age, float | int) and cases["E00001"].sex in ("male", "female")


def test_the_nine_classes_of_cpsc2018(challenge, kb):
    (case, _) = cpsc_2018(challenge, kb)
    assert set(case.statements) == {
        "normal-ecg", "atrial-fibrillation", "first-degree-av-block", "left-bundle-branch-block", "st-elevation",
        "right-bundle-branch-block", "premature-atrial-contraction", "premature-ventricular-contraction", "st-depression",
    }  # fmt: skip
    assert [c for c, present in case.statements.items() if present] == ["normal-ecg"]


@pytest.mark.parametrize(
    "line, concept",
    [
        ("Rhythm: Sinus tachycardia.", "sinus-tachycardia"),
        ("Rhythm: Atrial flutter, typical.", "atrial-flutter"),
        ("Electric axis of the heart: right axis deviation.", "right-axis-deviation"),
        ("I degree AV block.", "first-degree-av-block"),
        ("III degree AV-block.", "complete-av-block"),
        ("Non-specific intravintricular conduction delay.", "intraventricular-conduction-delay"),
        ("Non-specific repolarization abnormalities: inferior wall.", "nonspecific-st-t-abnormality"),
        ("Early repolarization syndrome.", "early-repolarization"),
        ("Electric axis of the heart: normal.", None),  # no normal ECG
        ("Quatsch.", None),
    ],
)
def test_a_line_of_ludb(tmp_path, kb, line, concept):
    record(tmp_path / "1")
    record(tmp_path / "2")
    plain = [line for line in (tmp_path / "1.hea").read_text().splitlines() if not line.startswith("#")]
    rhythm = [] if line.startswith("Rhythm") else ["#Rhythm: Sinus rhythm."]
    (tmp_path / "1.hea").write_text("\n".join([*plain, *rhythm, f"#{line}", ""]))
    (case,) = ludb(tmp_path, kb)  # the other tells no rhythm, so it is none of LUDB's
    assert case.annotated - {"sinus-rhythm"} == ({concept} if concept else set())
    assert case.source == "ludb" and case.patient == "1" and case.complete


def test_a_csv_of_labels_row_by_row(tmp_path, kb, capsys):
    rows = ["record,labels,patient,age,sex", "a,AF ; ;164909002,,, Male", "b.hea,,p2,0, f", "c,Quatsch;Unsinn,,,x"]
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")  # as spreadsheets save it
    a, b, c = labelled(tmp_path, kb)
    assert a.annotated == {"atrial-fibrillation", "left-bundle-branch-block"} and a.source == "labelled"
    assert (a.patient, b.patient, c.patient) == ("a", "p2", "c"), "without a patient, a record stands alone"
    assert [x.sex for x in (a, b, c)] == ["male", "female", None] and [x.age for x in (a, b, c)] == [None, 0, None]
    assert (a.path, b.path) == (str(tmp_path / "a"), str(tmp_path / "b"))
    assert b.annotated == c.annotated == frozenset() and not any(b.statements.values())
    assert capsys.readouterr().err.splitlines() == ["note: not in the knowledge base, so left out: Quatsch, Unsinn"]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("labels\nAF\n", "has no column record"),
        ("record,labels\n,AF\n", r"line 2: record '' is no record"),
        ("record,labels\n/etc/passwd,AF\n", r"line 2: record '/etc/passwd' leads out of the folder"),
        ("record,labels,age\na,AF,50\nb,AF,old\n", r"line 3: age 'old' is no number"),
    ],
)
def test_what_is_wrong_in_a_csv_of_labels_is_said_with_its_line(tmp_path, kb, text, problem):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(EcgclipError, match=problem) as error:
        labelled(tmp_path, kb)
    assert str(tmp_path / "labels.csv") in str(error.value)


def test_mimic_statements_parts_and_hedges(mimic, kb, tmp_path):
    copy = shutil.copytree(mimic, tmp_path / "copy")
    lines = [
        "Sinus rhythm WITH left axis deviation; Prolonged QT",
        "Possible inferior infarct - age undetermined.",
        "Left bundle branch block, and atrial fibrillation",
        "CONSIDER left ventricular hypertrophy",
        "Inferior infarct",
    ]
    table = (copy / "machine_measurements.csv").read_text().splitlines()
    start = [line.split(",")[:4] for line in table]
    for i, line in enumerate(lines, 1):
        table[i] = ",".join([*start[i], f'" {line} "', *[""] * 17, "800"])
    table[6] = ",".join([*start[6], *[""] * 18, "800"])  # the device said nothing
    (copy / "machine_measurements.csv").write_text("\n".join(table) + "\n")
    cases = mimic_iv_ecg(copy, kb)
    assert len(cases) == 9, "a row without a report is left out"
    assert cases[0].annotated == {"sinus-rhythm", "left-axis-deviation", "prolonged-qt-interval"}
    assert cases[0].report == "Sinus rhythm WITH left axis deviation; Prolonged QT."
    assert cases[1].annotated == frozenset() and cases[1].report == "Possible inferior infarct - age undetermined."
    assert not {"inferior-myocardial-infarction", "myocardial-infarction"} & set(cases[1].statements), "hedged"
    assert cases[1].statements["sinus-rhythm"] is False
    assert cases[2].annotated == {"left-bundle-branch-block", "atrial-fibrillation"}
    assert "left-ventricular-hypertrophy" not in cases[3].statements
    assert cases[4].statements["myocardial-infarction"] and cases[4].statements["inferior-myocardial-infarction"]
    assert cases[0].source == "mimic-iv-ecg" and cases[0].patient == cases[1].patient == "10000000"
    assert cases[0].path == str(copy / "files/p1000/p10000000/s40000000/40000000")
