"""benchmarks/table.py: what it says in words is what the results say."""

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
HALF = [0.5, 0.4, 0.6]


@pytest.fixture(scope="module")
def table():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        import table as module
    return module


def write(folder, name, results):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "results.json").write_text(json.dumps(results))


def zeroshot(trained, source):
    rows = [
        {
            "concept": f"c{i}",
            "positives": 10 + i,
            "in_macro": i < 3,
            "trained": t,
            "shipped_trained": True,
            "auroc": HALF,
        }
        for i, t in enumerate(trained)
    ]
    return {"records": 100, "least_positives": 5, "source_trained": source, "labels": rows}


def write_zeroshot(table, folder):
    kinds = ("bare name", "vector", "criteria", "knowledge base", "shipped", "all names and reports")
    macro = {kind: [0.1 * i, 0.0, 0.9] for i, kind in enumerate(kinds, 1)}
    sets = {
        name: zeroshot([False] * 4, source) | {"macro": macro} for name, source in (("here", True), ("abroad", False))
    }
    unseen = {"sets": sets, "abroad": {"sets": ["abroad"], "macro": macro}, "groups": [{}] * 3, "groups_in_all": 4}
    write(folder, "unseen", unseen)
    for i, (_, name) in enumerate(table.ROWS):
        shown = zeroshot([True, i > 1, i > 0, False], i < 1)
        write(
            folder,
            name,
            shown | {"macro": {"auroc": HALF}, "alone": {"vector": {"auroc": HALF}, "criteria": {"auroc": None}}},
        )


def test_every_row_says_what_training_had_heard_and_seen_and_zero_shot_comes_first(table, tmp_path):
    write_zeroshot(table, tmp_path)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.zeroshot(tmp_path) if line.startswith("|")
    ]
    assert any("3 of 4 groups" in line for line in table.zeroshot(tmp_path)), "what is not trained yet is said"
    head, _, first, here, abroad, *trained = rows
    assert head[4:6] == ["label named in training", "source seen in training"]
    assert first[1:6] == ["100", "3 (≥ 5)", "33", "none", "never"]
    assert first[6:] == ["0.400 (0.000–0.900)", "0.200 (0.000–0.900)", "0.300 (0.000–0.900)"]
    assert here[4:6] == ["none", "other patients of the same set"]
    assert abroad[4:6] == ["none", "never"]
    assert [row[4] for row in trained[:3]] == ["1 of them", "2 of them", "all"]
    assert [row[5] for row in trained[:2]] == ["other patients of the same set", "never"]
    assert len(trained) == len(table.ROWS)


def test_without_a_file_every_section_is_printed_and_with_one_it_is_written_there(table, tmp_path, monkeypatch, capsys):
    def spoken(folder):
        yield f"figures of {folder.name}"

    monkeypatch.setattr(table, "SECTIONS", (spoken,))
    table.main(tmp_path, [])
    assert f"figures of {tmp_path.name}" in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- spoken -->\nold\n<!-- end -->\nafter\n")
    table.main(tmp_path, [page])
    assert page.read_text() == f"before\n<!-- spoken -->\nfigures of {tmp_path.name}\n<!-- end -->\nafter\n"


def test_what_is_not_measured_is_one_line(table, tmp_path):
    with pytest.raises(SystemExit, match="not measured yet"):
        table.load(tmp_path, "unseen")


def test_the_best_and_the_shipped_shares_are_marked_by_what_they_are(table, tmp_path):
    write_zeroshot(table, tmp_path)
    file = tmp_path / "unseen/results.json"
    tried = [{"shares": {kind: 1.0}, "auroc": HALF} for kind in ("name", "report", "criteria")]
    shares = {"conditions": 7, "tried": tried, "best": {"report": 1.0}, "ships": {"criteria": 1.0}}
    shares |= {"chosen_elsewhere": HALF, "best_denials_as_they_stand": HALF}
    stored = json.loads(file.read_text())
    for scored in stored["sets"].values():
        scored["less bare name"] = {"knowledge base": HALF}
        scored["labels"] = [
            row | {"group": 1} | dict.fromkeys(stored["abroad"]["macro"], HALF) for row in scored["labels"]
        ]
    group = {"unseen": ["a"], "positives": 3, "reports_left": 2, "reports": 9}
    file.write_text(
        json.dumps(
            stored
            | {
                "shares": shares,
                "groups": [group],
                "groups_in_all": 1,
                "prompts": [{"prompt": "name", "here": HALF, "abroad": HALF}],
            }
        )
    )
    write(
        tmp_path,
        "untrained",
        {"fold": 9, "records": 225, "any": HALF, "conditions": 128, "probability": 0.5, "claimed": []},
    )
    text = "\n".join(table.unseen(tmp_path))
    assert "| name 1 | 0.500" in text
    assert "| report 1, **best** | 0.500" in text
    assert "| criteria 1, **ships** | 0.500" in text
    assert "| 1 | 1 | 3 | 2 of 9 | a |" in text
    assert "225 normal ECGs, 0.500 (0.400–0.600)" in text
