"""`ecgclip convert`: every record a file, none lost, none overwritten."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from commandline import assert_misuse

from ecgclip.io import read_ecg


@pytest.fixture
def folder(records, tmp_path):
    """A folder with a record in two subfolders, in two formats in one of them."""
    for place in ("a", "b"):
        (tmp_path / "in" / place).mkdir(parents=True)
        for ending in (".hea", ".dat"):
            shutil.copy(records / f"af{ending}", tmp_path / "in" / place)
    return tmp_path / "in"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_made_anew_in_another_format_and_back(run, folder, tmp_path):
    code, out, err = run("convert", folder, "-o", tmp_path / "edf", "--to", "edf")
    assert (code, err) == (0, "")
    assert out.split() == [str(tmp_path / "edf" / name) for name in ("a/af.edf", "b/af.edf")]
    assert run("convert", tmp_path / "edf", "-o", tmp_path / "wfdb", "--to", "wfdb")[0] == 0
    assert names(tmp_path / "wfdb") == ["a/af_edf.dat", "a/af_edf.hea", "b/af_edf.dat", "b/af_edf.hea"]
    before, after = read_ecg(folder / "a" / "af"), read_ecg(tmp_path / "wfdb" / "a" / "af_edf")
    np.testing.assert_array_equal(after.signal, before.signal)
    assert (after.metadata["age"], after.metadata["sex"]) == (before.metadata["age"], before.metadata["sex"])


def test_comments_are_left_out_unless_asked_for(run, records, tmp_path):
    run("convert", records / "af", "-o", tmp_path, "--to", "wfdb")
    assert "Simulated" not in (tmp_path / "af.hea").read_text()
    run("convert", records / "af", "-o", tmp_path, "--to", "wfdb", "--no-deidentify", "--overwrite")
    assert "Simulated" in (tmp_path / "af.hea").read_text()


def test_the_same_name_in_two_formats_or_folders_is_two_files(run, folder, tmp_path):
    for to in ("edf", "npz"):
        run("convert", folder / "a" / "af", "-o", folder / "c", "--to", to)
    assert run("convert", folder / "c", folder / "b" / "af.hea", "-o", tmp_path / "out", "--to", "csv")[0] == 0
    assert names(tmp_path / "out") == ["b/af.csv", "c/af_edf.csv", "c/af_npz.csv"]


def test_an_output_has_the_same_name_whatever_lies_beside_its_record(run, folder, tmp_path):
    out = tmp_path / "out"
    for to in ("npz", "edf"):  # the second run finds the first one's record, and another of the same name
        run("convert", folder / "a" / "af", "-o", folder / "c", "--to", to)
        assert run("convert", folder / "c", "-o", out, "--to", "csv")[0] == 0
    assert names(out) == ["af_edf.csv", "af_npz.csv"]


def test_two_records_with_the_same_output_are_told(run, folder, tmp_path):
    for name in ("my ecg", "my+ecg"):
        shutil.copy(folder / "a" / "af.hea", folder / "a" / f"{name}.hea")
    code, out, err = run("convert", folder / "a", "-o", tmp_path / "out", "--to", "csv")
    assert (code, names(tmp_path / "out")) == (1, ["af.csv", "my_ecg.csv"])
    assert err == (
        f"error: {folder}/a/my+ecg: {tmp_path}/out/my_ecg.csv is the output of {folder}/a/my ecg already; "
        "convert it to another folder\n"
    )


def test_a_record_is_not_replaced_by_its_own_conversion(run, folder):
    before = [(folder / "a" / f"af{ending}").read_bytes() for ending in (".hea", ".dat")]
    code, out, err = run("convert", folder / "a", "-o", folder / "a", "--to", "wfdb", "--overwrite")
    assert (code, out) == (1, "")
    assert err == f"error: {folder}/a/af: would be replaced by what is written; give another output folder\n"
    assert before == [(folder / "a" / f"af{ending}").read_bytes() for ending in (".hea", ".dat")]


def test_what_was_converted_into_a_folder_below_is_not_converted_again(run, folder):
    arguments = ("convert", folder, "-o", folder / "out", "--to", "npz")
    run(*arguments)
    code, out, err = run(*arguments)
    assert (code, out) == (0, "")
    assert "2 of the files lie in the output folder and are left out; name them to convert them" in err
    assert names(folder / "out") == ["a/af.npz", "b/af.npz"]
    run("convert", folder / "out" / "a" / "af.npz", "-o", folder / "out", "--to", "csv")
    assert names(folder / "out") == ["a/af.npz", "af_npz.csv", "b/af.npz"]


def test_a_file_that_is_there_is_kept(run, folder, tmp_path):
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "out" / "a" / "af.edf").write_text("mine")
    code, out, err = run("convert", folder, "-o", tmp_path / "out", "--to", "edf")
    assert (code, len(out.split())) == (0, 1)
    assert "1 of the files were there already and are kept; --overwrite replaces them" in err
    assert (tmp_path / "out" / "a" / "af.edf").read_text() == "mine"
    assert len(run("convert", folder, "-o", tmp_path / "out", "--to", "edf", "--overwrite")[1].split()) == 2


def test_a_bad_record_costs_the_others_nothing(run, folder, tmp_path):
    (folder / "a" / "af.dat").write_bytes(b"")
    code, out, err = run("convert", folder, "-o", tmp_path / "out", "--to", "edf")
    assert (code, names(tmp_path / "out")) == (1, ["b/af.edf"])
    assert err.startswith("error: ") and err.count("\n") == 1


def test_names_become_ones_that_a_record_may_have(run, folder, tmp_path):
    run("convert", folder / "a" / "af", "-o", tmp_path / "x", "--to", "edf")
    Path(tmp_path / "x" / "af.edf").rename(tmp_path / "x" / "my ecg (1).edf")
    assert run("convert", tmp_path / "x" / "*.edf", "-o", tmp_path / "out", "--to", "wfdb")[0] == 0
    assert names(tmp_path / "out") == ["my_ecg_1_edf.dat", "my_ecg_1_edf.hea"]


def test_an_unknown_format_is_refused_before_anything_is_read(run, tmp_path):
    assert_misuse(run("convert", tmp_path / "nothing", "-o", tmp_path / "out", "--to", "pdf"), "unknown format 'pdf'")
