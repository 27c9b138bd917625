"""PTB-XL: what its table does not say is unknown, and a patient is never in two parts."""

import numpy as np
import pytest
from toy import write_ptb_xl, write_simulated

from ecgclip.data.cases import Case
from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.ecg import EcgclipError
from ecgclip.io.read import read_ecg


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("public"), 10)


def test_ptb_xl_with_the_columns_of_the_public_file_alone(public, kb):
    cases = ptb_xl(public, kb)
    assert len(cases) == 10
    assert all(c.complete and c.report for c in cases)
    lbbb = cases[1]
    assert lbbb.statements["left-bundle-branch-block"]
    assert lbbb.statements["conduction-disturbance"]
    assert lbbb.statements["normal-ecg"] is False
    assert lbbb.statements["atrial-fibrillation"] is False
    assert "sinus-rhythm" in lbbb.annotated
    assert "conduction-disturbance" in lbbb.annotated
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
    assert ptb_xl(bare, kb) == []
    assert len(ptb_xl(bare, kb, signals=False)) == 10


def test_of_a_reconstructed_row_only_what_is_named_is_known(kb, tmp_path):
    extra = {"row_reconstructed": ["True", "False"] * 2, "diagnostic_superclass": ["NORM", "CD", "", "HYP"]}
    partial, whole, af, _ = ptb_xl(write_ptb_xl(tmp_path, 4, extra), kb)
    assert whole.complete
    assert not partial.complete
    assert partial.statements["normal-ecg"]
    assert partial.statements["sinus-rhythm"]
    assert "atrial-fibrillation" not in partial.statements, "no row, no knowledge"
    assert partial.statements["myocardial-infarction"] is False, "superclasses are complete"
    assert af.statements["normal-ecg"] is False


def test_ptb_xl_elsewhere_is_one_line(tmp_path, kb):
    with pytest.raises(EcgclipError, match=r"no ptbxl_database\.csv"):
        ptb_xl(tmp_path, kb)


def test_all_records_of_a_patient_fall_into_the_same_part(public, kb):
    cases = ptb_xl(public, kb)
    for a, b in zip(cases[::2], cases[1::2], strict=True):
        assert a.patient == b.patient
        assert a.share(7) == b.share(7)
    shares = [Case("s", "p", str(i)).share(4) for i in range(400)]
    assert min(np.bincount(shares)) > 60
    assert len(set(shares)) == 4


def test_ptb_xl_at_500_hz_where_it_is_wanted_or_all_there_is(kb, tmp_path):
    root = write_ptb_xl(tmp_path, 3)
    table = (root / "ptbxl_database.csv").read_text().splitlines()
    (root / "ptbxl_database.csv").write_text(
        "\n".join([table[0], *(f"{row}records500/{i}" for i, row in enumerate(table[1:]))])
    )
    for i in (0, 1):
        write_simulated(root / f"records500/{i}", sampling_rate=500)
    (root / "records100/00000/00001_lr.hea").unlink()
    rates = lambda **options: [read_ecg(c.path).sampling_rate for c in ptb_xl(root, kb, **options)]
    assert rates() == [500, 100, 100]
    assert rates(fine=True) == [500, 500, 100]


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
    assert {c.fold for c in (normal, lbbb, af, lvh)} == {3}
    assert {c.source for c in (normal, lbbb)} == {"ptb-xl"}
    assert normal.subclasses == {"NORM"}
    assert lbbb.subclasses == {"CLBBB"}
    assert af.subclasses == frozenset()
    assert normal.annotated == {"normal-ecg", "sinus-rhythm"}
    assert lbbb.report == "sinusrhythmus. linksschenkelblock"
    assert lbbb.path.endswith("00002_lr")
    assert (lbbb.start_s, lbbb.stop_s, lbbb.beats) == (0, None, ())
    assert {c: normal.statements[c] for c in SUPERCLASSES.values()} == {
        "normal-ecg": True, "myocardial-infarction": False, "st-t-change": False,
        "conduction-disturbance": False, "hypertrophy": False,
    }  # fmt: skip


def test_classes_that_a_column_states_go_before_those_of_the_codes(kb, tmp_path):
    extra = {"diagnostic_superclass": ["MI;CD"], "diagnostic_subclass": ["AMI;LAFB/LPFB"]}
    (case,) = ptb_xl(write_ptb_xl(tmp_path, 1, extra), kb)  # its only code is NORM
    assert case.statements["myocardial-infarction"]
    assert case.statements["normal-ecg"] is False
    assert case.subclasses == {"AMI", "LAFB/LPFB"}


def test_umlauts_in_a_report_survive(kb, tmp_path):
    root = write_ptb_xl(tmp_path, 1)
    text = (root / "ptbxl_database.csv").read_text().replace("normal ecg.", "“övrigt” unauffällig")
    (root / "ptbxl_database.csv").write_bytes(text.encode())
    assert ptb_xl(root, kb)[0].report == "sinus rhythm. “övrigt” unauffällig"


@pytest.mark.parametrize(
    "right, wrong, problem",
    [
        (repr({"NORM": 100.0, "SR": 0.0}), "{NORM", r"line 2: scp_codes '\{NORM' is not"),
        (",60.0,", ",old,", "line 2: age 'old' is not a number from 0 to 130"),
        (",1,records100", ",one,records100", "line 2: strat_fold 'one' is not a whole number"),
    ],
)
def test_a_cell_that_is_wrong_is_one_line(right, wrong, problem, kb, tmp_path):
    table = write_ptb_xl(tmp_path, 1) / "ptbxl_database.csv"
    text = table.read_text().replace(f'"{right}"', wrong).replace(right, wrong)
    assert wrong in text
    table.write_text(text)
    with pytest.raises(EcgclipError, match=problem):
        ptb_xl(tmp_path, kb)
