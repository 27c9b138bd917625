"""LUDB: diagnoses in the comment lines of the headers."""

import pytest
from toy import write_simulated

from ecgclip.data.ludb import ludb


def test_ludb_says_rhythm_axis_and_findings_in_comment_lines(tmp_path, kb):
    axis = "Electric axis of the heart"
    comment_lines = {
        "1": ["Rhythm: Sinus bradycardia.", f"{axis}: left axis deviation.", "Left ventricular hypertrophy."],
        "2": ["Rhythm: Atrial flutter, typical.", f"{axis}: normal.", "Ischemia: anterior wall.", "I degree AV block."],
    }
    for name, lines in comment_lines.items():
        write_simulated(tmp_path / "data" / name)
        header = tmp_path / "data" / f"{name}.hea"
        plain = [line for line in header.read_text().splitlines() if not line.startswith("#")]
        comments = ["#<age>: 51", "#<sex>: F", "#<diagnoses>:", *(f"#{line}" for line in lines)]
        header.write_text("\n".join([*plain, *comments, ""]))
    first, second = ludb(tmp_path, kb)
    assert first.annotated == {"sinus-bradycardia", "left-axis-deviation", "left-ventricular-hypertrophy"}
    assert second.annotated == {"atrial-flutter", "myocardial-ischemia", "first-degree-av-block"}
    assert first.statements["atrial-flutter"] is False
    assert (first.age, first.sex) == (51, "female")


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
    write_simulated(tmp_path / "1")
    write_simulated(tmp_path / "2")
    plain = [line for line in (tmp_path / "1.hea").read_text().splitlines() if not line.startswith("#")]
    rhythm = [] if line.startswith("Rhythm") else ["#Rhythm: Sinus rhythm."]
    (tmp_path / "1.hea").write_text("\n".join([*plain, *rhythm, f"#{line}", ""]))
    (case,) = ludb(tmp_path, kb)  # the other tells no rhythm, so it is none of LUDB's
    assert case.annotated - {"sinus-rhythm"} == ({concept} if concept else set())
    assert case.source == "ludb"
    assert case.patient == "1"
    assert case.complete
