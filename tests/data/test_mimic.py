"""MIMIC-IV-ECG: what the device printed, and what it hedged."""

import shutil

import pytest
from toy import write_mimic

from ecgclip.data.mimic import mimic_iv_ecg
from ecgclip.ecg import EcgclipError


@pytest.fixture(scope="module")
def mimic(tmp_path_factory):
    return write_mimic(tmp_path_factory.mktemp("mimic-iv-ecg"), 10)


def test_mimic_reports_are_the_lines_of_the_device(mimic, kb):
    cases = mimic_iv_ecg(mimic, kb)
    assert len(cases) == 10
    assert len({c.patient for c in cases}) == 5
    block = cases[1]
    assert block.report == "Sinus rhythm. Left bundle branch block. Abnormal ECG."
    assert block.statements["left-bundle-branch-block"]
    assert block.statements["conduction-disturbance"]
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
    assert mimic_iv_ecg(copy, kb) == []
    assert len(mimic_iv_ecg(copy, kb, signals=False)) == 10
    table = (copy / "record_list.csv").read_text()
    (copy / "record_list.csv").write_text(table.replace("files/p1000/", "../files/p1000/", 1))
    with pytest.raises(EcgclipError, match="leads out of the folder"):
        mimic_iv_ecg(copy, kb)
    (copy / "machine_measurements.csv").unlink()
    with pytest.raises(EcgclipError, match=r"no machine_measurements\.csv"):
        mimic_iv_ecg(copy, kb)


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
    assert cases[1].annotated == frozenset()
    assert cases[1].report == "Possible inferior infarct - age undetermined."
    assert not {"inferior-myocardial-infarction", "myocardial-infarction"} & set(cases[1].statements), "hedged"
    assert cases[1].statements["sinus-rhythm"] is False
    assert cases[2].annotated == {"left-bundle-branch-block", "atrial-fibrillation"}
    assert "left-ventricular-hypertrophy" not in cases[3].statements
    assert cases[4].statements["myocardial-infarction"]
    assert cases[4].statements["inferior-myocardial-infarction"]
    assert cases[0].source == "mimic-iv-ecg"
    assert cases[0].patient == cases[1].patient == "10000000"
    assert cases[0].path == str(copy / "files/p1000/p10000000/s40000000/40000000")
