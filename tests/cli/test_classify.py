"""What `ecgclip classify` promises: CSV and JSON that scripts rely on, and one clear line for bad input."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commandline import ROOT, assert_misuse

from ecgclip.ecg import LEADS
from ecgclip.io import read_ecg
from ecgclip.simulate import simulate, write_record

CSV_KEYS = ["label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note"]
SCORE_KEYS = [*CSV_KEYS, "by_vector", "by_criteria", "observed"]


@pytest.fixture
def entries(classify):
    """entries(*arguments) → the JSON list that classify prints."""
    return lambda *arguments: json.loads(classify(*arguments, "--format", "json")[1])


@pytest.fixture
def scores(entries):
    """scores(*arguments) → the scores of the first record."""
    return lambda *arguments: entries(*arguments)[0]["scores"]


# --- the contract -----------------------------------------------------------------------------------------------------


def test_json_is_the_contract(classify, records):
    code, out, err = classify(records / "af.hea", records / "pvc", "--labels", "AF, STEMI", "--format", "json")
    assert (code, err) == (0, "")
    af, pvc = json.loads(out)
    assert list(af) == ["record", "leads", "windows", "seconds", "used_s", "notes", "scores"]
    assert af["record"] == str(records / "af")
    assert af["leads"] == list(LEADS)
    assert af["windows"] == [0.0]
    assert pvc["windows"] == [0.0, 10.0, 14.0]
    assert [list(s) for s in af["scores"]] == [SCORE_KEYS] * 2
    assert [(s["label"], s["concept"]) for s in af["scores"]] == [("AF", "atrial-fibrillation"), ("STEMI", "stemi")]
    for score in af["scores"]:
        assert 0 <= score["probability"] <= 1
        assert -1 <= score["similarity"] <= 1


def test_json_says_what_each_witness_says(run, entries, records, tiny_model, tmp_path):
    (score,) = entries(records / "af", "--labels", "AF")[0]["scores"]
    assert score["by_vector"] == score["probability"]
    assert score["by_criteria"] is None, "this model does not listen to the criteria"
    model = shutil.copytree(tiny_model, tmp_path / "model")
    stored = json.loads((model / "config.json").read_text())
    stored["witnesses"] = {"weights": [1.0] * 8, "bias": -1.0, "trained": [0.0, 1.0, 0.0], "untrained": [0.0, 1.0, 0.0]}
    (model / "config.json").write_text(json.dumps(stored))
    options = ("--labels", "AF", "--format", "json", "--model", model)
    code, out, err = run("classify", records / "af", records / "normal", *options)
    assert (code, err) == (0, "")
    af, normal = (entry["scores"][0] for entry in json.loads(out))
    assert af["by_criteria"] > 0.5 > normal["by_criteria"]
    assert af["probability"] > normal["probability"]
    assert af["by_vector"] == pytest.approx(score["by_vector"])


def test_beside_a_calibrated_probability_stands_what_share_had_the_condition(run, records, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    stored = json.loads((model / "config.json").read_text())
    stored["reliability"] = [[0.0, 1.0, 0.254, 0.41, 90]]
    stored["training"] = {"concepts": ["atrial-fibrillation"]}
    (model / "config.json").write_text(json.dumps(stored))
    ask = ("classify", records / "af", "--labels", "AF,Brugada", "--model", model)
    code, out, _ = run(*ask, "--format", "json")
    af, unknown = json.loads(out)[0]["scores"]
    assert (code, af["observed"], unknown["observed"]) == (0, [0.254, 0.41], None), "training had no Brugada"
    scores = json.loads(run(*ask, "--softmax", "--format", "json")[1])[0]["scores"]
    assert [s["observed"] for s in scores] == [None, None]
    assert run(*ask, "--explain")[1].count("25 % to 41 % had it") == 1


def test_csv_is_the_contract_and_agrees_with_json(classify, entries, records):
    arguments = (records, "--labels", 'AF,"Brugada" type 1')
    rows = list(csv.DictReader(io.StringIO(classify(*arguments, "--format", "csv")[1])))
    flat = [(entry["record"], score) for entry in entries(*arguments) for score in entry["scores"]]
    assert list(rows[0]) == ["record", *CSV_KEYS, "used_s"]
    assert len(rows) == 6
    for row, (record, score) in zip(rows, flat, strict=True):
        assert (row["record"], row["label"], row["concept"]) == (record, score["label"], score["concept"] or "")
        assert float(row["probability"]) == pytest.approx(score["probability"], rel=1e-4)
        assert float(row["similarity"]) == pytest.approx(score["similarity"], rel=1e-4)


def test_record_is_named_as_given(entries, records, monkeypatch):
    monkeypatch.chdir(records)
    for given, named in (("af.hea", "af"), ("./af", "./af"), ("a*.hea", "af"), (".", "./af")):
        assert entries(given, "--labels", "AF")[0]["record"] == named


def test_a_record_named_twice_is_answered_once(entries, records, tmp_path, monkeypatch):
    assert len(entries(records / "af", records / "af.hea", records / "a*", "--labels", "AF")) == 1
    monkeypatch.chdir(records)
    (tmp_path / "link").symlink_to(records)
    spellings = ("./af.hea", "af", records / "af.hea", f"../{records.name}/af", tmp_path / "link/af")
    assert [entry["record"] for entry in entries(*spellings, "--labels", "AF")] == ["./af"]


def test_table_shows_the_scores_and_what_the_software_is_not(classify, records):
    code, out, err = classify(records / "af", "--labels", "AF,STEMI")
    assert (code, err) == (0, "")
    assert "atrial-fibrillation" in out
    assert "probability" in out
    assert "note" not in out
    assert out.splitlines()[-1] == "Research software, not a medical device."


def test_output_file_is_whole_or_absent(classify, records, tmp_path):
    file = tmp_path / "scores.csv"
    assert classify(records, "--labels", "AF", "--format", "csv", "--output", file) == (0, "", "")
    assert len(file.read_text().splitlines()) == 4
    assert_misuse(classify(records, "--labels", "", "--format", "csv", "--output", file), "empty label")
    assert len(file.read_text().splitlines()) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]
    assert_misuse(classify(records, "--labels", "AF", "--output", tmp_path), "is a folder")
    assert_misuse(classify(records, "--labels", "AF", "--output", tmp_path / "no" / "x"), "cannot be written")


# --- labels -----------------------------------------------------------------------------------------------------------


def test_without_labels_the_most_likely_concepts(scores, records):
    for arguments, count in ((("--top", "5"), 5), ((), 10)):
        probabilities = [s["probability"] for s in scores(records / "af", *arguments)]
        assert len(probabilities) == count
        assert probabilities == sorted(probabilities, reverse=True)


def test_softmax_sums_to_one(scores, records):
    answer = scores(records / "af", "--labels", "AF,STEMI,LBBB", "--softmax")
    assert sum(s["probability"] for s in answer) == pytest.approx(1)


def test_unknown_label_is_asked_plainly_and_says_so(classify, records):
    code, out, err = classify(records / "af", "--labels", "AF,purple waves", "--format", "json")
    assert code == 0
    assert json.loads(out)[0]["scores"][1]["concept"] is None
    assert err == "note: purple waves: not in the knowledge base: plain prompt\n"
    assert "plain prompt" in classify(records / "af", "--labels", "AF,purple waves")[1]


def test_no_enrich_asks_without_the_knowledge_base(classify, records):
    code, out, err = classify(records / "af", "--labels", "AF", "--no-enrich", "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)[0]["scores"][0]["concept"] is None


def test_label_set_fixes_labels_and_concepts(scores, records, tmp_path):
    answer = scores(records / "af", "--label-set", "ptb-xl-super")
    assert [s["label"] for s in answer] == ["NORM", "MI", "STTC", "CD", "HYP"]
    assert answer[1]["concept"] == "myocardial-infarction"
    own_set = tmp_path / "own.yaml"
    own_set.write_text("labels: {flimmer: atrial-fibrillation}\n")
    answer = scores(records / "af", "--label-set", own_set)
    assert [(s["label"], s["concept"]) for s in answer] == [("flimmer", "atrial-fibrillation")]


def test_labels_with_commas_stand_in_quotes_or_in_a_file(classify, scores, records, tmp_path):
    def labels(*options):
        return [s["label"] for s in scores(records / "af", *options)]

    assert labels("--labels", 'AF, "ST elevation, anterior",LBBB') == ["AF", "ST elevation, anterior", "LBBB"]
    (tmp_path / "labels.txt").write_text('ST elevation, anterior\nno "AF"\n')
    assert labels("--labels-file", tmp_path / "labels.txt") == ["ST elevation, anterior", 'no "AF"']
    assert_misuse(classify(records / "af", "--labels", 'AF,"ST elevation, anterior'), "quote", "comma")


def test_labels_file(scores, records, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("# emergencies\nAF\n\n  STEMI\n", encoding="utf-8-sig")
    assert [s["label"] for s in scores(records / "af", "--labels-file", file)] == ["AF", "STEMI"]


def test_a_note_says_how_a_label_was_understood(classify, records):
    code, out, err = classify(records / "af", "--labels", "no LBBB,AF without RBBB,AF", "--format", "csv")
    assert code == 0
    assert err.splitlines() == [
        "note: no LBBB: denied: 1 − p of left bundle branch block",
        "note: AF without RBBB: and: atrial fibrillation; not right bundle branch block",
    ]
    rows = {row["label"]: float(row["probability"]) for row in csv.DictReader(io.StringIO(out))}
    assert rows["AF without RBBB"] <= rows["AF"]


def test_your_own_knowledge_base_is_embedded_anew(classify, scores, records, tmp_path):
    shutil.copy(ROOT / "knowledge_base" / "sources.yaml", tmp_path)
    entry = (ROOT / "knowledge_base" / "atrial-fibrillation.yaml").read_text().splitlines()
    for field in ("broader", "lookalikes", "excludes"):
        entry = [f"{field}: []" if line.startswith(f"{field}:") else line for line in entry]
    entry = [line.replace("en: [AF,", "en: [AF, Zitterherz,") for line in entry]
    (tmp_path / "atrial-fibrillation.yaml").write_text("\n".join(entry))
    answer = scores(records / "af", "--labels", "zitterherz", "--knowledge-base", tmp_path)
    assert answer[0]["concept"] == "atrial-fibrillation"
    assert_misuse(classify(records / "af", "--knowledge-base", records), "no knowledge base here")


# --- evidence ---------------------------------------------------------------------------------------------------------


def test_explain_in_json_adds_a_key_to_each_score(entries, records):
    score = entries(records / "pvc", "--labels", "AF,PVC", "--explain")[0]["scores"][0]
    assert list(score) == [*SCORE_KEYS, "explain"]
    evidence = score["explain"]
    assert evidence["name"] == "atrial fibrillation"
    assert "P waves" in evidence["definition"]
    criteria = [p for p in evidence["passages"] if p["kind"] == "criterion"]
    assert criteria
    assert {p["source"] for p in criteria} <= set(evidence["sources"])
    assert len(evidence["windows"]) == 3
    assert min(evidence["windows"]) < score["similarity"]


def test_explain_shows_beats_leads_and_measurements(entries, records):
    entry = entries(records / "pvc", "--labels", "AF,PVC", "--explain")[0]
    evidence = entry["scores"][0]["explain"]
    similarity = [beat["similarity"] for beat in evidence["beats"]]
    assert similarity == sorted(similarity, reverse=True)
    assert all(0 <= beat["time_s"] <= 24 for beat in evidence["beats"])
    assert set(evidence["leads"]) == set(LEADS)
    assert any(abs(value) > 1e-4 for value in evidence["leads"].values())
    assert entry["measurements"]["heart_rate"] == pytest.approx(74, abs=8)
    for key in ("st_mv", "t_mv", "r_mv", "s_mv"):
        assert set(entry["measurements"][key]) == set(LEADS)


def test_of_a_long_recording_the_windows_of_the_highest_similarity_are_shown(classify, scores, tmp_path):
    record = write_record(simulate("af", seconds=95, sampling_rate=100), tmp_path / "long")
    similarity = scores(record, "--labels", "AF", "--explain")[0]["explain"]["windows"]
    out = classify(record, "--labels", "AF", "--explain")[1]
    (line,) = (line for line in out.splitlines() if line.startswith("  windows"))
    assert line.endswith(f"(the highest of {len(similarity)})")
    shown = [float(part.split()[2]) for part in line.removeprefix("  windows").split("(")[0].split(",")]
    assert sorted(shown) == sorted(round(s, 3) for s in sorted(similarity)[-6:])


def test_several_conditions_are_explained_by_each(scores, records):
    evidence = scores(records / "af", "--labels", "AF without LBBB", "--explain")[0]["explain"]
    assert evidence["name"] == "and: atrial fibrillation; not left bundle branch block"
    assert "irregular" in evidence["definition"]
    assert "left ventricle" in evidence["definition"]
    texts = " ".join(passage["text"] for passage in evidence["passages"])
    assert "R-R" in texts
    assert "broad R wave" in texts
    assert evidence["sources"]


def test_explain_says_which_criteria_are_met(entries, classify, records):
    score = entries(records / "af", "--labels", "AF without LBBB", "--explain")[0]["scores"][0]
    criteria = {(c["concept"], c["text"]): c for c in score["explain"]["criteria"]}
    irregular = criteria["atrial-fibrillation", "irregularly irregular R-R intervals"]
    assert irregular["answer"] == "met"
    assert irregular["role"] == "required"
    assert irregular["margin"] > 0.33
    assert "R-R irregularity" in irregular["value"]
    wide = criteria["left-bundle-branch-block", "QRS duration of 120 ms or more"]
    assert wide["answer"] == "unmet"
    assert wide["test"] == "qrs_120_or_more"
    assert "(≥ 120)" in wide["value"]
    waves = criteria["atrial-fibrillation", "irregular fibrillatory waves of changing shape and timing"]
    assert waves["answer"] == "met"
    assert score["explain"]["explained"] == []
    out = classify(records / "af", "--labels", "AF", "--explain")[1]
    assert "irregularly irregular R-R intervals (required): met: R-R irregularity" in out


def test_explain_has_no_criteria_of_what_the_knowledge_base_does_not_know(scores, records):
    assert scores(records / "af", "--labels", "odd thing", "--explain")[0]["explain"]["criteria"] == []


def test_explain_in_the_table_shows_sources_beats_leads_and_measurements(classify, records):
    code, out, _ = classify(records / "af", "--labels", "AF,odd thing", "--explain")
    assert code == 0
    for words in ("irregularly irregular", "[esc-af-2020] ESC: 2020"):
        assert words in out
    for words in ("beats", "(R-R", "lost without the lead", "rate ", "R-R ±", "ST, mV", "T, mV"):
        assert words in out


def test_one_lead_has_no_lead_evidence(entries, tmp_path):
    ecg = simulate("af", seed=2)
    write_record(type(ecg)(ecg.signal[:1], ecg.sampling_rate, ("I",), ecg.metadata), tmp_path / "watch")
    entry = entries(tmp_path / "watch", "--labels", "AF", "--explain")[0]
    assert entry["leads"] == ["I"]
    assert set(entry["scores"][0]["explain"]["leads"].values()) == {None}


def test_explain_shows_the_nearest_cases_of_an_index(run, entries, classify, records, tiny_model, tmp_path):
    index = tmp_path / "index"
    run("index", "build", records, "-o", index, "--model", tiny_model)
    arguments = (records / "af", "--labels", "AF,purple waves", "--explain", "--index", index)
    entry = entries(*arguments)[0]
    assert {Path(case["record"]).name for case in entry["cases"]} == {"normal", "pvc"}
    assert set(entry["scores"][0]["explain"]["cases"]) == {"with_label", "labelled"}
    assert entry["scores"][1]["explain"]["cases"] is None
    assert "\n  case       " in classify(*arguments)[1]
    assert_misuse(classify(records / "af", "--labels", "AF", "--index", index), "--index goes with --explain")


# --- notes and interruptions ------------------------------------------------------------------------------------------


def test_notes_go_to_stderr_once(classify, tmp_path):
    for name in ("a", "b", "c"):
        header = Path(write_record(simulate("normal", seed=1), tmp_path / name))
        header.write_text(header.read_text().replace(" I\n", " ECG\n", 1))
    code, out, err = classify(tmp_path, "--labels", "AF", "--format", "json")
    assert code == 0
    assert len(json.loads(out)) == 3
    assert err.count("assumed that 'ECG' is lead I") == 2
    assert "note: 2 more: assumed" in err


def test_a_bug_in_one_record_does_not_lose_the_others(classify, records, monkeypatch):
    def read(record, **reading):
        if record.endswith("normal"):
            raise ZeroDivisionError("so it\ngoes")
        return read_ecg(record)

    monkeypatch.setattr("ecgclip.cli.progress.read_ecg", read)
    code, out, err = classify(records, "--labels", "AF", "--format", "json")
    assert code == 1
    assert len(json.loads(out)) == 2
    assert "normal: unexpected ZeroDivisionError: so it goes" in err
    assert err.count("\n") == 1


def test_an_interrupt_ends_quietly_and_leaves_no_file(classify, records, tmp_path, monkeypatch):
    def read(record, **reading):
        raise KeyboardInterrupt

    monkeypatch.setattr("ecgclip.cli.progress.read_ecg", read)
    code, _, err = classify(records, "--labels", "AF", "--format", "csv", "--output", tmp_path / "scores.csv")
    assert (code, err.strip()) == (130, "")
    assert not list(tmp_path.iterdir())


# --- misuse: one line, exit code 2 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, words",
    [
        (["--labels", ""], ["empty label"]),
        (["--labels", "AF,,STEMI"], ["empty label"]),
        (["--labels", "AF,STEMI, af"], ["'af' is given twice"]),
        (["--labels", "x" * 10_000], ["10,000 characters"]),
        (["--labels", "AF", "--label-set", "ptb-xl-super"], ["--labels", "--label-set"]),
        (["--label-set", "nonsense"], ["nonsense", "ptb-xl-super"]),
        (["--label-set", "../recipes/default"], ["no label set"]),
        (["--labels-file", "none.txt"], ["none.txt"]),
    ],
)
def test_bad_labels(classify, records, options, words):
    assert_misuse(classify(records / "af", *options), *words)


@pytest.mark.parametrize("content, words", [(b"# nothing\n\n", "no labels"), (b"\xff\xfe\x00\x81", "not a text file")])
def test_bad_labels_file(classify, records, tmp_path, content, words):
    (tmp_path / "labels.txt").write_bytes(content)
    assert_misuse(classify(records / "af", "--labels-file", tmp_path / "labels.txt"), words)


@pytest.mark.parametrize(
    "content, words",
    [("labels: {X: no-such-thing}", "no-such-thing"), ("- a\n", "not a label set"), ("a: [", "label set")],
)
def test_bad_label_set(classify, records, tmp_path, content, words):
    (tmp_path / "own.yaml").write_text(content)
    assert_misuse(classify(records / "af", "--label-set", tmp_path / "own.yaml"), words)


def test_bad_options(classify, records):
    assert_misuse(classify(records / "af", "--labels", "AF", "--format", "xml"), "xml", "json")
    assert_misuse(classify(records / "af", "--labels", "AF", "--format", "csv", "--explain"), "--explain")
    for arguments in ((), ("--nonsense",), (records / "af", "--top", "0"), (records / "af", "--top", "many")):
        assert classify(*arguments)[0] == 2


@pytest.mark.parametrize(
    "name", ["model.safetensors", "vectors.safetensors", "config.json", "knowledge_base.json", "tokenizer.model"]
)
@pytest.mark.parametrize("damage", ["truncated", "noise", "empty"])
def test_damaged_model_files(name, damage, run, records, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    whole = (model / name).read_bytes()
    noise = np.random.default_rng(0).bytes(2000)
    (model / name).write_bytes({"truncated": whole[: len(whole) // 2], "noise": noise, "empty": b""}[damage])
    result = run("classify", records / "af", "--labels", "AF", "--model", model)
    if name == "tokenizer.model" and result[0] == 0:  # half of a protocol buffer may still be valid
        return
    assert_misuse(result)


def test_no_model(run, records, tmp_path):
    assert_misuse(run("classify", records / "af", "--labels", "AF", "--model", tmp_path), "no model here")
    nowhere = tmp_path / "none" / "x"
    assert_misuse(run("classify", records / "af", "--labels", "AF", "--model", nowhere), "neither a folder")


def test_ids_are_kept_for_the_evidence_only(run, records):
    assert_misuse(run("classify", records / "af", "--keep-ids"), "--keep-ids goes with --explain")
