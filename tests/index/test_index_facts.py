"""Facts: what tables and headers say of records, stored in an index."""

from dataclasses import replace
from pathlib import Path

import pytest
from index_stubs import NORTH, build, names, on_circle, one_line, stub, stubs
from toy import write_ptb_xl

from ecgclip.data.tables import years
from ecgclip.simulate import simulate, write_record


def test_ptb_xl_brings_its_reports_and_statements(model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", records=5)
    index = build(root / "records100/00000", tmp_path / "index", model)
    labels = {Path(h.record).name: (h.labels, h.report) for h in index.search("AF")}
    assert labels["00003_lr"] == (("atrial fibrillation",), "vorhofflimmern mit normaler kammerfrequenz")
    assert "normal ECG" in labels["00001_lr"][0]
    assert "sinus rhythm" in labels["00001_lr"][0]
    assert names(index.search("AF", where="age = 60 and sex = 'F' and strat_fold = 2 and ecg_id = 4")) == ["00004_lr"]


def test_updated_facts_are_taken_over_without_embedding(embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0), age=50)
    build(record, tmp_path / "index", model)
    table = tmp_path / "facts.csv"
    for text in ("record,report,labels,ward\na/r,first,AF; LBBB; my own,7\n", "record,report\na/r.hea,second\n"):
        table.write_text(text)
        index = build(record, tmp_path / "index", model, facts=table)
    hit = index.search(like=NORTH, where="age = 50")[0]
    assert hit.report == "second"
    assert hit.labels[0] == "atrial fibrillation"
    assert hit.labels[2] == "my own"
    assert embedded == ["r"]
    assert index.last.unchanged == 1
    assert index.search(like=NORTH, where="ward = 7") == []  # no longer said of anyone


def test_facts_outlive_a_changed_record_when_no_table_is_given_again(embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0), age=50)
    (tmp_path / "facts.csv").write_text("record,report,labels,ward\na/r,first,AF,7\n")
    build(record, tmp_path / "index", model, facts=tmp_path / "facts.csv")
    stub(tmp_path / "a", "r", on_circle(5), age=51)
    index = build(record, tmp_path / "index", model)
    hit = index.search(like=NORTH, where="age = 51 and ward = 7")[0]
    assert index.last.changed == 1
    assert (hit.report, hit.labels) == ("first", ("atrial fibrillation",))


def test_a_table_of_ones_own_has_the_last_word_over_ptb_xls(model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", records=2)
    (tmp_path / "facts.csv").write_text("record,report,ward\nptb-xl/records100/00000/00001_lr,mine,7\n")
    index = build(root / "records100/00000", tmp_path / "index", model, facts=tmp_path / "facts.csv")
    hit = index.search("AF", where="ward = 7 and ecg_id = 1 and age = 60")[0]
    assert hit.report == "mine"
    assert "normal ECG" in hit.labels


@pytest.mark.parametrize("age", ["inf", "-3", "131", "1e1", "nine", "300"])
def test_an_age_that_is_none_is_one_line(age, embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0))
    (tmp_path / "facts.csv").write_text(f"record,age\na/r,{age}\n")
    one_line(
        lambda: build(record, tmp_path / "index", model, facts=tmp_path / "facts.csv"), "line 2", repr(age), "0 to 130"
    )
    assert embedded == []


def test_ptb_xl_writes_300_for_all_above_89(embedded, model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", records=2)
    table = root / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("60.0", "300.0", 1))
    index = build(root, tmp_path / "index", model)
    assert names(index.search(like=NORTH, where="age > 89 and age < 130")) == ["00001_lr"]


def test_only_plain_numbers_are_numbers(embedded, model, tmp_path):
    cells = {"1e5": "'1e5'", "007": "'007'", "12": "12", "-0.5": "-0.5", "9" * 20: f"'{'9' * 20}'", "true": "'true'"}
    stubs(tmp_path / "a", range(len(cells)))
    rows = [f"a/r{i:02},{cell}" for i, cell in enumerate(cells)]
    (tmp_path / "facts.csv").write_text("\n".join(["record,ward", *rows]))
    index = build(tmp_path / "a", tmp_path / "index", model, facts=tmp_path / "facts.csv")
    for i, value in enumerate(cells.values()):
        assert names(index.search(like=NORTH, where=f"ward = {value}")) == [f"r{i:02}"], value


def test_a_table_that_names_other_records_says_so(embedded, model, tmp_path, capsys):
    stubs(tmp_path / "a", range(3))
    table = tmp_path / "facts.csv"
    table.write_text("record,ward\na/r00,1\na/R01,2\na/r02.hea,3\nb/r03,4\n")
    index = build(tmp_path / "a", tmp_path / "index", model, facts=table)
    assert capsys.readouterr().err == f"note: {table}: 2 of 4 rows name no record that is given\n"
    assert names(index.search(like=NORTH, where="ward > 0")) == ["r00", "r02"]
    table.write_text("record,ward\nr00,1\nr01,2\n")  # paths from another folder
    for content in (table.read_text(), "record,ward\n"):
        table.write_text(content)
        one_line(
            lambda: index.add([tmp_path / "a"], facts=table), "facts.csv: none of its", "names a record that is given"
        )


@pytest.mark.parametrize("name", ["{folder}/a/r", "../archive/a/r", "./../archive/b/../a/r.hea"])
def test_a_table_may_name_records_by_any_path(name, embedded, model, tmp_path):
    """It is only compared with the records that are given: no table can have another file read."""
    record = stub(tmp_path / "archive/a", "r", on_circle(0))
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables/facts.csv"
    table.write_text(f"record,ward\n{name.format(folder=tmp_path / 'archive')},7\n")
    index = build(record, tmp_path / "index", model, facts=table)
    assert names(index.search(like=NORTH, where="ward = 7")) == ["r"]
    stub(tmp_path / "archive/b", "r", on_circle(0))
    table.write_text(f"record,ward\n{tmp_path / 'archive/b/r'},7\n")
    one_line(
        lambda: build(record, tmp_path / "index", model, facts=table), "none of its 1 rows names a record that is given"
    )
    assert embedded == ["r"]


@pytest.mark.parametrize("age", ["", "nan", "NaN", "unknown", "Unknown", "NA", "n/a", "None"])
def test_an_age_that_is_not_known_stops_no_table(age, embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0))
    (tmp_path / "facts.csv").write_text(f"record,age\na/r,{age}\n")
    assert names(build(record, tmp_path / "index", model, facts=tmp_path / "facts.csv").search(like=NORTH)) == ["r"]
    assert years(age) is None


def test_a_header_brings_age_sex_and_diagnoses(model, tmp_path):
    ecg = simulate("af", seed=0, sampling_rate=100)
    header = Path(write_record(replace(ecg, metadata={"age": 71, "sex": "female"}), tmp_path / "a/r"))
    header.write_text(header.read_text() + "# Dx: 164889003,426783006,999\n")
    hit = build(tmp_path / "a", tmp_path / "index", model).search("AF", where="age = 71 and sex = 'F'")[0]
    assert hit.labels == ("atrial fibrillation", "sinus rhythm", "999")
