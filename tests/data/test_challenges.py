"""The Challenges of 2011, 2017 and 2020, and the data sets inside the last."""

import numpy as np
import pytest
from toy import write_dx, write_simulated

from ecgclip.data.challenges import challenge_2011, challenge_2017, challenge_2020, chapman, cpsc_2018
from ecgclip.data.folder import folder
from ecgclip.ecg import EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.simulate import simulate


def test_challenge_2017(tmp_path, kb):
    lines = ["record,label"]
    for name, label in (("A1", "N"), ("A2", "A"), ("A3", "O"), ("A4", "~")):
        write_simulated(tmp_path / name, leads=("I",))
        lines.append(f"{name},{label}")
    (tmp_path / "REFERENCE.csv").write_text("\n".join([*lines, "A9,N"]))
    n, af, other, noisy = challenge_2017(tmp_path, kb)
    assert n.statements["sinus-rhythm"]
    assert n.statements["atrial-fibrillation"] is False
    assert af.statements["atrial-fibrillation"]
    assert "atrial-flutter" not in af.statements
    assert other.statements["atrial-fibrillation"] is False
    assert "sinus-rhythm" not in other.statements
    assert noisy.statements == {"poor-signal-quality": True}
    assert not any(c.complete for c in (n, af, other, noisy)), "one lead and four classes make no report"
    assert "left-bundle-branch-block" not in n.statements


def test_challenge_2017_with_corrected_labels_and_records_in_folders(tmp_path, kb):
    write_simulated(tmp_path / "training" / "A00" / "A00001", leads=("I",))
    (tmp_path / "REFERENCE.csv").write_text("A00001,N\n")
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,A\n")
    (case,) = challenge_2017(tmp_path, kb)
    assert case.statements["atrial-fibrillation"]
    assert read_ecg(case.path).leads
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,X\n")
    with pytest.raises(EcgclipError, match="A00001"):
        challenge_2017(tmp_path, kb)


def test_challenge_2011(tmp_path, kb):
    for name in ("11", "12"):
        write_simulated(tmp_path / name)
    (tmp_path / "REFERENCE.csv").write_text("record,acceptable\n11,1\n12,0\n")
    good, bad = challenge_2011(tmp_path, kb)
    assert good.statements == {"poor-signal-quality": False}
    assert bad.statements == {"poor-signal-quality": True}


def test_challenges_without_their_table_are_one_line(tmp_path, kb):
    with pytest.raises(EcgclipError, match=r"no REFERENCE\.csv or REFERENCE-v3\.csv here"):
        challenge_2017(tmp_path, kb)
    with pytest.raises(EcgclipError, match=r"no REFERENCE\.csv here"):
        challenge_2011(tmp_path, kb)


def test_every_record_of_the_challenges_is_a_patient(tmp_path, kb):
    for name in ("A1", "A2"):
        write_simulated(tmp_path / name, leads=("I",))
    (tmp_path / "REFERENCE.csv").write_text("A1,N\nA2,O\n")
    for loader, source in ((challenge_2017, "challenge-2017"), (challenge_2011, "challenge-2011")):
        cases = loader(tmp_path, kb)
        assert [(c.source, c.patient, c.path) for c in cases] == [(source, n, str(tmp_path / n)) for n in ("A1", "A2")]
    normal, other = challenge_2017(tmp_path, kb)
    assert normal.statements == {"sinus-rhythm": True, "poor-signal-quality": False} | dict.fromkeys(
        ("atrial-fibrillation", "atrial-flutter", "irregular-rhythm"), False
    )
    assert other.statements == {"irregular-rhythm": True, "atrial-fibrillation": False, "poor-signal-quality": False}


def test_a_concept_is_annotated_only_where_its_source_names_it(challenge, kb):
    (challenge / "g1" / "E00009.hea").write_text("not a header\n")
    cases = {c.path.rsplit("/", 1)[1]: c for c in challenge_2020(challenge, kb)}
    assert set(cases) == {"E00001", "E00002", "JS00001", "A0001", "A0002"}, "an unreadable record is left out"
    assert cases["E00001"].statements["atrial-fibrillation"] is False
    assert "left-bundle-branch-block" not in cases["E00001"].statements
    assert "atrial-fibrillation" not in cases["JS00001"].statements
    assert cases["JS00001"].annotated == {"left-bundle-branch-block"}
    assert cases["A0002"].source == "A"
    together = {c.path.rsplit("/", 1)[1]: c for c in folder(challenge, kb)}
    assert together["E00001"].statements["left-bundle-branch-block"] is False, "one folder, one source"


def test_cpsc2018_has_nine_classes_and_calls_sinus_rhythm_normal(challenge, kb):
    cases = {c.path.rsplit("/", 1)[1]: c for c in cpsc_2018(challenge, kb)}
    assert set(cases) == {"A0001", "A0002"}
    assert len(cases["A0001"].statements) == 9
    assert cases["A0001"].annotated == {"normal-ecg"}
    assert cases["A0002"].annotated == {"atrial-fibrillation"}


def test_the_nine_classes_of_cpsc2018(challenge, kb):
    (case, _) = cpsc_2018(challenge, kb)
    assert set(case.statements) == {
        "normal-ecg", "atrial-fibrillation", "first-degree-av-block", "left-bundle-branch-block",
        "right-bundle-branch-block", "premature-atrial-contraction", "premature-ventricular-contraction",
        "st-depression", "st-elevation",
    }  # fmt: skip
    assert [c for c, present in case.statements.items() if present] == ["normal-ecg"]


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
    write_dx(tmp_path / "WFDBRecords" / "01" / "010" / "JS00001", "164889003", "59118001", condition="af")
    write_dx(tmp_path / "WFDBRecords" / "01" / "011" / "JS00002", "426177001")
    first, second = chapman(tmp_path, kb)
    assert first.annotated == {"atrial-fibrillation", "right-bundle-branch-block"}
    assert second.annotated == {"sinus-bradycardia"}
    assert second.statements["atrial-fibrillation"] is False
    assert first.patient != second.patient
    assert first.source == second.source == "chapman"
