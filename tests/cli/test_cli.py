"""What the command line promises: CSV and JSON that scripts rely on, one clear line for bad input, exit codes."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from toy import write_ptb_xl

from ecgclip import cli
from ecgclip.ecg import LEADS
from ecgclip.io.wfdb import read_ecg
from ecgclip.simulate import simulate, write_record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(monkeypatch, capsys):
    """run(*arguments) → exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ecgclip", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def classify(run, tiny_model):
    return lambda *arguments: run("classify", "--model", tiny_model, *arguments)


def subprocess_run(*arguments, variables=None, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(variables or {})}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, text=True, capture_output=True, **options
    )


def misuse(result, *words):
    """Exit 2, nothing on stdout, one line on stderr."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and len(err) < 600
    assert all(word in err for word in words), err


# --- the contract -----------------------------------------------------------------------------------------------------


KEYS = ["label", "concept", "probability", "similarity", "max_probability", "burden", "trained", "note"]  # of a score


def test_json_is_the_contract(classify, records):
    code, out, err = classify(records / "af.hea", records / "pvc", "--labels", "AF, STEMI", "--format", "json")
    assert (code, err) == (0, "")
    af, pvc = json.loads(out)
    assert list(af) == ["record", "leads", "windows", "seconds", "used_s", "notes", "scores"]
    assert af["record"] == str(records / "af")
    assert af["leads"] == list(LEADS) and af["windows"] == [0.0] and pvc["windows"] == [0.0, 10.0, 14.0]
    assert [list(s) for s in af["scores"]] == [KEYS] * 2
    assert [(s["label"], s["concept"]) for s in af["scores"]] == [("AF", "atrial-fibrillation"), ("STEMI", "stemi")]
    assert all(0 <= s["probability"] <= 1 and -1 <= s["similarity"] <= 1 for s in af["scores"])


def test_csv_is_the_contract_and_agrees_with_json(classify, records):
    arguments = (records, "--labels", 'AF,"Brugada" type 1')
    rows = list(csv.DictReader(io.StringIO(classify(*arguments, "--format", "csv")[1])))
    entries = json.loads(classify(*arguments, "--format", "json")[1])
    assert list(rows[0]) == ["record", *KEYS, "used_s"]
    flat = [(e["record"], s) for e in entries for s in e["scores"]]
    assert len(rows) == len(flat) == 6
    for row, (record, score) in zip(rows, flat, strict=True):
        assert (row["record"], row["label"], row["concept"]) == (record, score["label"], score["concept"] or "")
        assert float(row["probability"]) == pytest.approx(score["probability"], rel=1e-4)
        assert float(row["similarity"]) == pytest.approx(score["similarity"], rel=1e-4)


def test_record_is_named_as_given(classify, records, monkeypatch):
    monkeypatch.chdir(records)
    for given, named in (("af.hea", "af"), ("./af", "./af"), ("a*.hea", "af"), (".", "./af")):
        assert json.loads(classify(given, "--labels", "AF", "--format", "json")[1])[0]["record"] == named


def test_a_record_named_twice_is_answered_once(classify, records, tmp_path, monkeypatch):
    out = classify(records / "af", records / "af.hea", records / "a*", "--labels", "AF", "--format", "json")[1]
    assert len(json.loads(out)) == 1
    monkeypatch.chdir(records)
    (tmp_path / "link").symlink_to(records)
    spellings = ("./af.hea", "af", records / "af.hea", f"../{records.name}/af", tmp_path / "link/af")
    out = classify(*spellings, "--labels", "AF", "--format", "json")[1]
    assert [entry["record"] for entry in json.loads(out)] == ["./af"]


def test_table_shows_the_scores_and_what_the_software_is_not(classify, records):
    code, out, err = classify(records / "af", "--labels", "AF,STEMI")
    assert (code, err) == (0, "")
    assert "atrial-fibrillation" in out and "probability" in out and "note" not in out
    assert out.splitlines()[-1] == "Research software, not a medical device."


def test_without_labels_the_most_likely_concepts(classify, records):
    for arguments, count in ((("--top", "5"), 5), ((), 10)):
        scores = json.loads(classify(records / "af", "--format", "json", *arguments)[1])[0]["scores"]
        probabilities = [s["probability"] for s in scores]
        assert len(scores) == count and probabilities == sorted(probabilities, reverse=True)


def test_softmax_sums_to_one(classify, records):
    scores = json.loads(classify(records / "af", "--labels", "AF,STEMI,LBBB", "--softmax", "--format", "json")[1])[0][
        "scores"
    ]
    assert sum(s["probability"] for s in scores) == pytest.approx(1)


def test_unknown_label_is_asked_plainly_and_says_so(classify, records):
    code, out, err = classify(records / "af", "--labels", "AF,purple waves", "--format", "json")
    assert code == 0 and json.loads(out)[0]["scores"][1]["concept"] is None
    assert err == "note: purple waves: not in the knowledge base: plain prompt\n"
    assert "plain prompt" in classify(records / "af", "--labels", "AF,purple waves")[1]


def test_no_enrich_asks_without_the_knowledge_base(classify, records):
    code, out, err = classify(records / "af", "--labels", "AF", "--no-enrich", "--format", "json")
    assert (code, err) == (0, "") and json.loads(out)[0]["scores"][0]["concept"] is None


def test_label_set_fixes_labels_and_concepts(classify, records, tmp_path):
    scores = json.loads(classify(records / "af", "--label-set", "ptb-xl-super", "--format", "json")[1])[0]["scores"]
    assert [s["label"] for s in scores] == ["NORM", "MI", "STTC", "CD", "HYP"]
    assert scores[1]["concept"] == "myocardial-infarction"
    own = tmp_path / "own.yaml"
    own.write_text("labels: {flimmer: atrial-fibrillation}\n")
    scores = json.loads(classify(records / "af", "--label-set", own, "--format", "json")[1])[0]["scores"]
    assert [(s["label"], s["concept"]) for s in scores] == [("flimmer", "atrial-fibrillation")]


def test_labels_with_commas_stand_in_quotes_or_in_a_file(classify, records, tmp_path):
    def asked(*options):
        return [s["label"] for s in json.loads(classify(records / "af", *options, "--format", "json")[1])[0]["scores"]]

    assert asked("--labels", 'AF, "ST elevation, anterior",LBBB') == ["AF", "ST elevation, anterior", "LBBB"]
    (tmp_path / "labels.txt").write_text('ST elevation, anterior\nno "AF"\n')
    assert asked("--labels-file", tmp_path / "labels.txt") == ["ST elevation, anterior", 'no "AF"']
    misuse(classify(records / "af", "--labels", 'AF,"ST elevation, anterior'), "quote", "comma")


def test_what_was_understood_is_said(classify, run, records, tiny_model, tmp_path):
    code, out, err = classify(records / "af", "--labels", "no LBBB,AF without RBBB,AF", "--format", "csv")
    assert code == 0 and err.splitlines() == [
        "note: no LBBB: denied: 1 − p of left bundle branch block",
        "note: AF without RBBB: and: atrial fibrillation; not right bundle branch block",
    ]
    rows = {row["label"]: float(row["probability"]) for row in csv.DictReader(io.StringIO(out))}
    assert rows["AF without RBBB"] <= rows["AF"]
    run("index", "build", records, "-o", tmp_path / "index", "--model", tiny_model)
    words = ("AF or flutter without LBBB", "--not", "kein RSB")
    code, _, err = run("search", *words, "--index", tmp_path / "index", "--model", tiny_model)
    assert code == 0 and err.splitlines() == [
        "note: AF or flutter without LBBB: and: (or: atrial fibrillation; atrial flutter); not left bundle branch block",
        "note: left out: kein RSB: denied: 1 − p of right bundle branch block",
    ]
    assert (
        "left out: LBBB"
        in run("search", "AF", "--not", "LBBB", "--index", tmp_path / "index", "--model", tiny_model)[2]
    )


def test_several_conditions_are_explained_by_each(classify, records):
    out = classify(records / "af", "--labels", "AF without LBBB", "--explain", "--format", "json")[1]
    behind = json.loads(out)[0]["scores"][0]["explain"]
    assert behind["name"] == "and: atrial fibrillation; not left bundle branch block"
    assert "irregular" in behind["definition"] and "left ventricle" in behind["definition"]
    texts = [passage["text"] for passage in behind["passages"]]
    assert any("R-R" in t for t in texts) and any("broad R wave" in t for t in texts) and behind["sources"]


def test_labels_file(classify, records, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("# emergencies\nAF\n\n  STEMI\n", encoding="utf-8-sig")
    scores = json.loads(classify(records / "af", "--labels-file", file, "--format", "json")[1])[0]["scores"]
    assert [s["label"] for s in scores] == ["AF", "STEMI"]


def test_own_knowledge_base_is_embedded_anew(classify, records, tmp_path):
    for name in ("sources", "atrial-fibrillation", "asystole"):
        shutil.copy(ROOT / "knowledge_base" / f"{name}.yaml", tmp_path)
    entry = (tmp_path / "atrial-fibrillation.yaml").read_text().splitlines()
    entry = [
        "broader: []" if x.startswith("broader:") else "lookalikes: []" if x.startswith("lookalikes:") else x
        for x in entry
    ]
    entry = [x.replace("en: [AF,", "en: [AF, Zitterherz,") for x in entry]
    (tmp_path / "atrial-fibrillation.yaml").write_text("\n".join(entry))
    (tmp_path / "asystole.yaml").unlink()
    out = classify(records / "af", "--labels", "zitterherz", "--knowledge-base", tmp_path, "--format", "json")[1]
    assert json.loads(out)[0]["scores"][0]["concept"] == "atrial-fibrillation"
    misuse(classify(records / "af", "--knowledge-base", records), "no knowledge base here")


def test_explain_in_json_adds_a_key_to_each_score(classify, records):
    entry = json.loads(classify(records / "pvc", "--labels", "AF,PVC", "--explain", "--format", "json")[1])[0]
    score = entry["scores"][0]
    assert list(score) == [*KEYS, "explain"]
    behind = score["explain"]
    assert behind["name"] == "atrial fibrillation" and "P waves" in behind["definition"]
    cited = [p for p in behind["passages"] if p["kind"] == "criterion"]
    assert cited and all(p["source"] in behind["sources"] for p in cited)
    assert min(behind["windows"]) < score["similarity"] and len(behind["windows"]) == 3
    similarity = [b["similarity"] for b in behind["beats"]]
    assert similarity == sorted(similarity, reverse=True) and all(0 <= b["time_s"] <= 24 for b in behind["beats"])
    assert set(behind["leads"]) == set(LEADS) and any(abs(v) > 1e-4 for v in behind["leads"].values())
    assert entry["measurements"]["heart_rate"] == pytest.approx(74, abs=8)
    assert all(set(entry["measurements"][key]) == set(LEADS) for key in ("st_mv", "t_mv", "r_mv", "s_mv"))


def test_explain_in_the_table_shows_sources_beats_leads_and_measurements(classify, records):
    code, out, _ = classify(records / "af", "--labels", "AF,odd thing", "--explain")
    assert code == 0
    for words in (
        "irregularly irregular",
        "[esc-af-2020] ESC: 2020",
        "beats",
        "(R-R",
        "lost without the lead",
        "rate ",
        "R-R ±",
        "ST, mV",
        "T, mV",
    ):
        assert words in out


def test_one_lead_has_no_lead_evidence(classify, tmp_path):
    ecg = simulate("af", seed=2)
    write_record(type(ecg)(ecg.signal[:1], ecg.sampling_rate, ("I",), ecg.metadata), tmp_path / "watch")
    entry = json.loads(classify(tmp_path / "watch", "--labels", "AF", "--explain", "--format", "json")[1])[0]
    assert entry["leads"] == ["I"] and set(entry["scores"][0]["explain"]["leads"].values()) == {None}


def test_notes_go_to_stderr_once(classify, tmp_path):
    for name in ("a", "b", "c"):
        header = Path(write_record(simulate("normal", seed=1), tmp_path / name))
        header.write_text(header.read_text().replace(" I\n", " ECG\n", 1))
    code, out, err = classify(tmp_path, "--labels", "AF", "--format", "json")
    assert code == 0 and len(json.loads(out)) == 3
    assert err.count("assumed that 'ECG' is lead I") == 2 and "note: 2 more: assumed" in err


def test_output_file_is_whole_or_absent(classify, records, tmp_path):
    file = tmp_path / "scores.csv"
    assert classify(records, "--labels", "AF", "--format", "csv", "--output", file) == (0, "", "")
    assert len(file.read_text().splitlines()) == 4
    misuse(classify(records, "--labels", "", "--format", "csv", "--output", file), "empty label")
    assert len(file.read_text().splitlines()) == 4 and [p.name for p in tmp_path.iterdir()] == ["scores.csv"]
    misuse(classify(records, "--labels", "AF", "--output", tmp_path), "is a folder")
    misuse(classify(records, "--labels", "AF", "--output", tmp_path / "no" / "x"), "cannot be written")


# --- bad records: one line each, the others are answered, exit code 1 -------------------------------------------------


def header(folder, text, name="bad", data=None):
    Path(folder, f"{name}.hea").write_bytes(text if isinstance(text, bytes) else text.encode())
    if data is not None:
        Path(folder, f"{name}.dat").write_bytes(np.asarray(data, "<i2").tobytes())


def one_lead(samples, rate=500, lead="II", file="bad.dat"):
    return f"bad 1 {rate} {samples}\n{file} 16 1000/mV 16 0 0 0 0 {lead}\n"


NOISE = np.random.default_rng(0).integers(-500, 500, 5000)
BAD = {
    "missing signal file": (lambda d: header(d, one_lead(5000)), "is missing"),
    "truncated signal file": (lambda d: header(d, one_lead(5000), data=NOISE[:900]), "truncated"),
    "empty header": (lambda d: header(d, ""), "empty"),
    "binary header": (lambda d: header(d, bytes(range(256)) * 4), "binary"),
    "0 Hz": (lambda d: header(d, one_lead(5000, rate=0), data=NOISE), "sampling rate"),
    "10^11 samples": (lambda d: header(d, one_lead(10**11), data=NOISE), "truncated"),
    "10^12 samples": (lambda d: header(d, one_lead(10**12), data=NOISE), "makes no sense"),
    "path that leaves the folder": (
        lambda d: header(d, one_lead(5000, file="../../../etc/passwd")),
        "not in its own folder",
    ),
    "CSV called .hea": (lambda d: header(d, "time,I,II\n0,0.1,0.2\n0.002,0.1,0.2\n"), "not a WFDB header"),
    "all NaN": (lambda d: header(d, one_lead(5000), data=np.full(5000, -32768)), "flat"),
    "all flat": (lambda d: header(d, one_lead(5000), data=np.full(5000, 7)), "flat"),
    "0.3 s": (lambda d: header(d, one_lead(150), data=NOISE[:150]), "too short"),
    "unknown leads": (lambda d: header(d, one_lead(5000, lead="PLETH"), data=NOISE), "no ECG lead"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_record_is_one_line_and_the_others_go_on(kind, classify, records, tmp_path):
    make, words = BAD[kind]
    make(tmp_path)
    code, out, err = classify(tmp_path / "bad", records / "af", "--labels", "AF", "--format", "csv")
    assert code == 1
    assert [line.split(",")[:2] for line in out.splitlines()[1:]] == [[str(records / "af"), "AF"]]
    assert err.startswith("error: ") and err.count("\n") == 1 and words in err and "bad" in err and len(err) < 400


def test_all_bad_records_of_a_folder_together(classify, records, run, tmp_path):
    for i, (make, _) in enumerate(BAD.values()):
        folder = tmp_path / str(i)
        folder.mkdir()
        make(folder)
    code, out, err = classify(tmp_path, tmp_path / "none*", records / "af", "--labels", "AF", "--format", "json")
    assert code == 1 and len(json.loads(out)) == 1 and err.count("error: ") == err.count("\n") == len(BAD) + 1
    assert classify(tmp_path / "none", "--labels", "AF", "--format", "json")[:2] == (1, "[]\n")
    code, out, err = run("info", tmp_path)
    assert code == 1 and err.count("\n") == len(BAD)


def test_a_bug_in_one_record_does_not_lose_the_others(classify, records, monkeypatch):
    real = read_ecg

    def read(record):
        if record.endswith("normal"):
            raise ZeroDivisionError("so it\ngoes")
        return real(record)

    monkeypatch.setattr("ecgclip.model.clip.read_ecg", read)
    code, out, err = classify(records, "--labels", "AF", "--format", "json")
    assert code == 1 and len(json.loads(out)) == 2
    assert "normal: unexpected ZeroDivisionError: so it goes" in err and err.count("\n") == 1


def test_an_interrupt_ends_quietly_and_leaves_no_file(classify, records, tmp_path, monkeypatch):
    def read(record):
        raise KeyboardInterrupt

    monkeypatch.setattr("ecgclip.model.clip.read_ecg", read)
    code, _, err = classify(records, "--labels", "AF", "--format", "csv", "--output", tmp_path / "scores.csv")
    assert (code, err.strip()) == (130, "") and not list(tmp_path.iterdir())


# --- misuse: one line, exit code 2 ------------------------------------------------------------------------------------


def test_bad_labels(classify, records, tmp_path):
    record = records / "af"
    misuse(classify(record, "--labels", ""), "empty label")
    misuse(classify(record, "--labels", "AF,,STEMI"), "empty label")
    misuse(classify(record, "--labels", "AF,STEMI, af"), "'af' is given twice")
    misuse(classify(record, "--labels", "x" * 10_000), "10,000 characters")
    misuse(classify(record, "--labels", "AF", "--label-set", "ptb-xl-super"), "--labels", "--label-set")
    misuse(classify(record, "--label-set", "nonsense"), "nonsense", "ptb-xl-super")
    misuse(classify(record, "--label-set", "../recipes/default"), "no label set")
    misuse(classify(record, "--labels-file", tmp_path / "none.txt"), "none.txt")
    for content, words in ((b"# nothing\n\n", "no labels"), (b"\xff\xfe\x00\x81", "not a text file")):
        (tmp_path / "labels.txt").write_bytes(content)
        misuse(classify(record, "--labels-file", tmp_path / "labels.txt"), words)
    for content, words in (
        ("labels: {X: no-such-thing}", "no-such-thing"),
        ("- a\n", "not a label set"),
        ("a: [", "label set"),
    ):
        (tmp_path / "own.yaml").write_text(content)
        misuse(classify(record, "--label-set", tmp_path / "own.yaml"), words)


def test_bad_options(classify, run, records):
    misuse(classify(records / "af", "--labels", "AF", "--format", "xml"), "xml", "json")
    misuse(classify(records / "af", "--labels", "AF", "--format", "csv", "--explain"), "--explain")
    for arguments in ((), ("--nonsense",), (records / "af", "--top", "0"), (records / "af", "--top", "many")):
        assert classify(*arguments)[0] == 2
    assert run("nonsense")[0] == 2


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
    # a tokenizer is a protocol buffer: half of one may still be valid
    if not (name == "tokenizer.model" and result[0] == 0):
        misuse(result)


def test_no_model(run, records, tmp_path):
    misuse(run("classify", records / "af", "--labels", "AF", "--model", tmp_path), "no model here")
    misuse(run("classify", records / "af", "--labels", "AF", "--model", tmp_path / "none" / "x"), "neither a folder")


# --- the other commands -----------------------------------------------------------------------------------------------


def test_info_says_what_was_read_assumed_derived_and_masked(run, tmp_path):
    ecg = simulate("normal", seed=1)
    signal = ecg.signal[[0, 1, 6, 7]].copy()
    signal[3] = 0
    path = Path(
        write_record(type(ecg)(signal, 500, ("I", "II", "V1", "V2"), {"age": 60, "sex": "male"}), tmp_path / "r")
    )
    path.write_text(path.read_text().replace(" I\n", " ECG\n", 1))
    code, out, err = run("info", path)
    assert (code, err) == (0, "")
    for words in (
        "4 leads (I II V1 V2), 5000 samples at 500 Hz, 10.0 s, age 60, male",
        "'ECG' is lead I",
        "III aVR aVL aVF",
    ):
        assert words in out
    assert "masked     V2 V3 V4 V5 V6" in out and "R peaks:" in out and "PR 1" in out and "finding" in out


def test_info_tells_silence_a_pause_and_exchanged_electrodes(run, tmp_path):
    ecg = simulate("normal", seed=1, seconds=20)
    signal = ecg.signal.copy()
    signal[2] *= -1
    signal[:, 2500:] = np.random.default_rng(0).normal(0, 0.002, (12, 7500))
    out = run("info", write_record(type(ecg)(signal, 500, ecg.leads), tmp_path / "r"))[1]
    for words in (
        "note       no electrical activity from ",
        "used       10.0 of 20.0 s",
        "longest R-R 15.",
        "decided    asystole 0.97, measured: no heartbeat from ",
        "measured: III looks upside down",
    ):
        assert words in out


def test_kb(run, tiny_model):
    code, out, _ = run("kb", "list", "--category", "pacing")
    assert code == 0 and any(line.split()[:2] == ["paced-rhythm", "pacing"] for line in out.splitlines())
    assert len(run("kb", "list")[1].splitlines()) >= 150
    out = run("kb", "show", "vorhofflimmern")[1]
    assert out.startswith("atrial-fibrillation: ") and "[esc-af-2020]" in out and "irregularly irregular" in out
    misuse(run("kb", "show", "atrial-fibrilation"), "did you mean atrial-fibrillation")
    misuse(run("kb", "list", "--category", "nonsense"), "rhythm")
    out = run("kb", "search", "no P waves", "-k", "3", "--model", tiny_model)[1]
    assert len(out.splitlines()) == 3 and all(-1 <= float(line.split()[0]) <= 1 for line in out.splitlines())


def test_kb_embed_overwrites_nothing_but_the_same_weights(run, tiny_model, tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    shutil.copy(ROOT / "knowledge_base/sources.yaml", base)
    entry = yaml.safe_load((ROOT / "knowledge_base/sinus-rhythm.yaml").read_text(encoding="utf-8"))
    text = yaml.safe_dump({**entry, "broader": [], "lookalikes": []}, allow_unicode=True)
    (base / "sinus-rhythm.yaml").write_text(text, encoding="utf-8")
    embed = lambda output: run("kb", "embed", "--model", tiny_model, "--knowledge-base", base, "-o", output)
    thesis, other = tmp_path / "thesis", tmp_path / "other"
    thesis.mkdir()
    (thesis / "config.json").write_text("the only copy")
    shutil.copytree(tiny_model, other)
    (other / "model.safetensors").write_bytes(b"another's")
    for folder in (thesis, other, thesis / "config.json"):
        misuse(embed(folder), str(folder), "give a new folder")
    assert (thesis / "config.json").read_text() == "the only copy" and len(list(thesis.iterdir())) == 1
    for _ in range(2):  # anew, and again after an edit
        code, out, _ = embed(tmp_path / "mine")
        assert code == 0 and "1 concepts embedded" in out


def test_an_index_from_its_making_to_its_end(run, tiny_model, records, tmp_path):
    archive, made = shutil.copytree(records, tmp_path / "archive"), tmp_path / "index"
    build = lambda *more: run("index", "build", archive, "-o", made, "--model", tiny_model, *more)
    assert build()[:2] == (0, f"{made}: 3 records (3 added, 0 changed, 0 moved, 0 unchanged)\n")
    options = ("--index", made, "--model", tiny_model)
    columns = ["rank", "score", "record", "start_s", "report", "labels", "measure"]
    code, out, _ = run("search", "AF", *options, "--format", "csv")
    assert code == 0 and out.splitlines()[0].split(",") == columns and out.count(",cosine\n") == 3
    hits = json.loads(run("similar", records / "af", *options, "--format", "json")[1])
    assert [list(hit) for hit in hits] == [columns] * 2
    table = run("search", "AF", *options)[1]
    assert table.split()[:2] == ["rank", "cosine"] and "score" not in table
    assert run("search", *options, "--like", archive / "none")[0] == 1
    misuse(run("search", *options), "nothing to search for")
    misuse(build("--facts", records / "none.csv"), "none.csv")

    archive.rename(tmp_path / "elsewhere")
    misuse(run("index", "remove", "--index", made, "--missing"), "3 of 3 records are missing", "--yes")
    archive = tmp_path / "elsewhere"
    assert "(0 added, 0 changed, 3 moved, 0 unchanged)" in build()[1]
    (archive / "bad.hea").write_text("nonsense")
    code, out, err = build()
    assert code == 1 and "3 unchanged" in out and "1 records could not be read" in err
    shutil.rmtree(archive)
    out = run("index", "remove", "--index", made, "--missing", "--yes")[1]
    assert out == f"{made}: 3 records removed\n" and "records          0" in run("index", "info", made)[1]


def test_simulate(run, tmp_path):
    assert {"af", "normal", "anterior-stemi"} <= set(run("simulate", "--list")[1].split())
    assert run("simulate", "af", "-o", tmp_path / "x", "--seconds", "5")[:2] == (0, f"{tmp_path / 'x.hea'}\n")
    assert "2500 samples at 500 Hz, 5.0 s" in run("info", tmp_path / "x")[1]
    misuse(run("simulate", "nonsense", "-o", tmp_path / "y"), "unknown condition")
    misuse(run("simulate", "af"), "-o RECORD")


def test_train_and_eval_name_what_is_missing(run, tiny_model, tmp_path):
    misuse(run("train", "text", "nonsense", "--data", tmp_path, "-o", tmp_path / "o"), "default")
    misuse(run("train", "text", "default", "--data", tmp_path / "none", "-o", tmp_path / "o"), "no such folder")
    misuse(
        run("train", "clip", "default", "--data", tmp_path, "--text", tmp_path / "none", "-o", tmp_path / "o"),
        "no such folder",
    )
    options = ("--label-set", "ptb-xl-super", "-o", tmp_path / "o", "--model", tiny_model)
    misuse(run("eval", "zeroshot", "--dataset", "nonsense", tmp_path, *options), "nonsense", "ptb-xl")
    root = write_ptb_xl(tmp_path / "ptb-xl", 5, fold=9)
    misuse(run("eval", "zeroshot", "--dataset", "ptb-xl", root, *options), "fold 10")
    misuse(run("eval", "zeroshot", "--dataset", "ptb-xl", root, *options, "--fold", "nine"), "--fold 'nine'")
    misuse(run("eval", "probe", "--dataset", "ptb-xl", root, *options, "--fold", "9"), "to train on")
    misuse(run("eval", "probe", "--dataset", "ptb-xl", root, *options, "--shares", "few"), "--shares 'few'")
    misuse(run("eval", "retrieval", "--dataset", "ludb", tmp_path / "none", "-o", tmp_path / "o"), "no such folder")
    misuse(run("eval", "compare", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "o"), "results.json")


def test_eval_shows_its_tables(run, tiny_model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", 10, fold=9)
    options = ("--dataset", "ptb-xl", root, "--fold", "9", "--least", "2", "--model", tiny_model)
    code, out, _ = run("eval", "zeroshot", *options, "--label-set", "superclass", "-o", tmp_path / "a")
    assert code == 0 and "average precision" in out and "NORM" in out and "random weights" in out
    code, out, _ = run("eval", "compare", tmp_path / "a", tmp_path / "a", "-o", tmp_path / "c")
    assert code == 0 and "+0.000 (+0.000 to +0.000)" in out
    assert f"{tmp_path / 'c'}" not in (tmp_path / "c" / "results.json").read_text(), "whose place is no result"
    code, out, _ = run("eval", "retrieval", *options, "-o", tmp_path / "r")
    assert code == 0 and "text → ECG" in out and "sinus rhythm" in out


def commands(group, *names):
    """The words of every command, as typed."""
    for name, command in group.commands.items():
        yield from commands(command, *names, name) if hasattr(command, "commands") else [" ".join((*names, name))]


COMMANDS = list(commands(typer.main.get_command(cli.app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, run):
    code, out, _ = run(*command.split(), "--help")
    assert code == 0 and f"Example:\n    ecgclip {command}" in out
    assert "--output" not in out or "-o, --output" in out or "--output, -o" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_misuse(command, run):
    code, out, err = run(*command.split(), "--nonsense")
    assert (code, out) == (2, "") and "--nonsense" in err


# --- as a process -----------------------------------------------------------------------------------------------------


def test_classify_leaves_slow_imports_alone(records, tiny_model):
    """Cold start: at most twice `import torch`; these would each cost a good part of that."""
    arguments = ["classify", str(records / "af"), "--labels", "AF", "--model", str(tiny_model)]
    program = (
        "import sys\nfrom ecgclip.cli import main\nassert 'torch' not in sys.modules and 'numpy' in sys.modules\n"
        f"sys.argv[1:] = {arguments!r}\ntry: main()\nexcept SystemExit as end: assert not end.code\n"
        "slow = {'transformers', 'pandas', 'wfdb', 'sklearn', 'open_clip', 'faiss', 'matplotlib', 'huggingface_hub'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    result = subprocess_run("-c", program)
    assert result.returncode == 0, result.stderr


def test_import_is_light_and_names_are_lazy():
    program = (
        "import sys, ecgclip\nassert not {'torch', 'numpy'} & set(sys.modules)\n"
        "assert ecgclip.ECG and ecgclip.read_ecg and 'torch' not in sys.modules\n"
        "assert callable(ecgclip.load_model) and ecgclip.KnowledgeBase and isinstance(ecgclip.__version__, str)\n"
        "assert set(ecgclip.__all__) <= set(dir(ecgclip)) and not hasattr(ecgclip, 'nonsense')"
    )
    result = subprocess_run("-c", program)
    assert result.returncode == 0, result.stderr


def test_a_pipe_whose_code_page_lacks_a_character_gets_its_number(records, tiny_model, tmp_path):
    """As on Windows: cp1252 has neither the arrow of `eval retrieval` nor Greek names."""
    root = write_ptb_xl(tmp_path / "ptb-xl", 10, fold=9)
    options = ("--fold", "9", "--least", "2", "-o", tmp_path / "r", "--model", tiny_model)
    named = shutil.copytree(records, tmp_path / "\u03b1")
    for arguments, words in (
        (("eval", "retrieval", "--dataset", "ptb-xl", root, *options), "text \\u2192 ECG"),
        (("info", named / "af"), "\\u03b1"),
        (("info", tmp_path / "\u03b2"), "\\u03b2"),
    ):
        done = subprocess_run("-m", "ecgclip", *arguments, encoding="cp1252", variables={"PYTHONIOENCODING": "cp1252"})
        assert words in done.stdout + done.stderr and "UnicodeEncodeError" not in done.stderr, done.stderr


def test_module_exit_code_and_closed_pipe(records):
    assert subprocess_run("-m", "ecgclip", "info", records / "none").returncode == 1
    with subprocess.Popen(
        [sys.executable, "-m", "ecgclip", "kb", "list"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
