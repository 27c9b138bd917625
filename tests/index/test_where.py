"""Filters: a condition chooses windows before they are ranked, and can do nothing else."""

import pytest
from index_stubs import NORTH, names, one_line


def test_filters_come_before_the_ranking(circle):
    for k, where, found in (
        (4, "age >= 30", ["r30", "r31", "r32", "r33"]),
        (3, "age >= 30 and sex = 'F'", ["r30", "r32", "r34"]),
        (100, "age >= 38", ["r38", "r39"]),
        (9, "age > 200", []),
    ):
        assert names(circle.search(like=NORTH, k=k, where=where)) == found


@pytest.mark.parametrize(
    ("where", "first"),
    [
        ("ward = 'C'", "r02"),
        ("ward in ('B', 'C') and größe > 170", "r22"),
        ('"heart rate" > 80', "r31"),
        ('"2nd" = 7', "r07"),
        ("window_id = 5", "r05"),
        ("Score = '1e999'", "r00"),  # JSON knows no such number
        ("Score is null and note = 'x'", "r01"),
        ("record like '%r33'", "r33"),
        ("lower(leads) = 'ii' and length(ward) = 1 and abs(age - 9) < 1", "r09"),
        ("age > (SELECT 20 + age FROM ecgs WHERE ward = 'B' LIMIT 1)", "r22"),
        ("seconds < 10 and leads = 'II' and start_s = 0 and labels = '[]' and report = '' -- all", "r00"),
    ],
)
def test_what_can_be_filtered_by(where, first, circle):
    assert names(circle.search(like=NORTH, k=1, where=where)) == [first]


BAD_CONDITIONS = [
    *("agee > 60", "age >", "", ")", "age > 0) --", "/*", "age = ?", "age = :x", "\0", "\udcff", "age > (", "'"),
    *("1) ; DROP TABLE records --", "1; DELETE FROM records", "1 IN (DELETE FROM records RETURNING 1)"),
    *("1) UNION SELECT 'x' FROM windows WHERE (1; VACUUM", "ATTACH 'x' AS y", "(PRAGMA user_version)"),
    *("age > (SELECT 1 FROM pragma_table_info('records'))", "load_extension('x')", "randomblob(9) > 0"),
    *("id = 1", "record_id = 1", "printf('%99d', 1) > 0", "abs(-9223372036854775808) > 0"),
    "EXISTS (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 1 FROM c WHERE x < 0)",
]


@pytest.mark.parametrize("where", BAD_CONDITIONS)
def test_a_bad_condition_is_one_line_and_changes_nothing(where, built):
    before = built.search("AF")
    one_line(lambda: built.search("AF", where=where), "--where", "columns are record, start_s")
    assert built.search("AF") == before
    assert built.info()["records"] == 7
    assert names(built.search("AF", where="record like '%/paced'")) == ["paced"]  # nothing of the guard is left


def test_no_condition_widens_what_can_be_found(built):
    """Other numbers than those of windows, and text, are no windows."""
    for where in ("0) UNION SELECT 99 WHERE (1", "0) UNION SELECT 'x' WHERE (1", "0) UNION SELECT NULL WHERE (1"):
        assert built.search("AF", where=where) == []
