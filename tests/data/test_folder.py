"""A folder of one's own, with diagnoses in its headers or in labels.csv."""

import shutil

import pytest
from toy import write_simulated

from ecgclip.data.folder import folder, labelled
from ecgclip.ecg import EcgclipError


def test_the_split_of_a_folder_does_not_depend_on_where_it_lies(challenge, kb, tmp_path):
    shutil.copytree(challenge, tmp_path / "elsewhere")
    shares = [sorted(c.share(97) for c in folder(root, kb)) for root in (challenge, tmp_path / "elsewhere")]
    assert shares[0] == shares[1]
    assert len(set(shares[0])) > 2


def test_a_record_without_a_diagnosis_line_is_no_case(challenge, kb, tmp_path):
    root = shutil.copytree(challenge, tmp_path / "copy")
    write_simulated(root / "g1" / "E00003")
    cases = {c.path.rsplit("/", 1)[1]: c for c in folder(root, kb)}
    assert "E00003" not in cases
    assert len(cases) == 5
    assert cases["E00001"].patient == "g1/E00001"
    assert cases["E00001"].source == "folder"
    assert cases["E00001"].complete
    assert isinstance(cases["E00001"].age, float | int)
    assert cases["E00001"].sex in ("male", "female")


def test_a_folder_with_a_csv_of_labels(tmp_path, kb, capsys):
    rows = ["record,labels,patient,age,sex", "a,AF;LBBB,p1,70,F", "sub/b.hea,,p1,,", "c,Quatsch;164889003,p2,60.5,male"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    a, b, c = labelled(tmp_path, kb)
    assert a.annotated == {"atrial-fibrillation", "left-bundle-branch-block"}
    assert (a.age, a.sex) == (70, "female")
    assert b.annotated == set()
    assert b.statements["atrial-fibrillation"] is False
    assert b.path.endswith("sub/b")
    assert c.annotated == {"atrial-fibrillation"}
    assert (c.age, c.sex) == (60.5, "male")
    assert (a.patient, b.patient, c.patient) == ("p1", "p1", "p2")
    assert "Quatsch" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, problem",
    [
        (None, "no labels.csv"),
        ("record,label\n", "labels"),
        ("record,labels,age\na,AF,old\n", "line 2"),
        ("record,labels,age\na,AF,inf\n", "line 2: age 'inf' is not a number from 0 to 130"),
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


def test_a_csv_of_labels_row_by_row(tmp_path, kb, capsys):
    rows = ["record,labels,patient,age,sex", "a,AF ; ;164909002,,, Male", "b.hea,,p2,0, f", "c,Quatsch;Unsinn,,,x"]
    (tmp_path / "labels.csv").write_text("\ufeff" + "\n".join(rows), encoding="utf-8")  # as spreadsheets save it
    a, b, c = labelled(tmp_path, kb)
    assert a.annotated == {"atrial-fibrillation", "left-bundle-branch-block"}
    assert a.source == "labelled"
    assert (a.patient, b.patient, c.patient) == ("a", "p2", "c"), "without a patient, a record stands alone"
    assert [x.sex for x in (a, b, c)] == ["male", "female", None]
    assert [x.age for x in (a, b, c)] == [None, 0, None]
    assert (a.path, b.path) == (str(tmp_path / "a"), str(tmp_path / "b"))
    assert b.annotated == c.annotated == frozenset()
    assert not any(b.statements.values())
    assert capsys.readouterr().err.splitlines() == ["note: not in the knowledge base, so left out: Quatsch, Unsinn"]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("labels\nAF\n", "has no column record"),
        ("record,labels\n,AF\n", r"line 2: record '' is not a record"),
        ("record,labels\n/etc/passwd,AF\n", r"line 2: record '/etc/passwd' leads out of the folder"),
        ("record,labels,age\na,AF,50\nb,AF,old\n", r"line 3: age 'old' is not a number"),
    ],
)
def test_what_is_wrong_in_a_csv_of_labels_is_said_with_its_line(tmp_path, kb, text, problem):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(EcgclipError, match=problem) as error:
        labelled(tmp_path, kb)
    assert str(tmp_path / "labels.csv") in str(error.value)
