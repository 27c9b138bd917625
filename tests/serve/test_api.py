"""The API over HTTP: its JSON is that of the command line, whatever names the ECG."""

import base64
import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("matplotlib")
from serving import RECORDS, ROOT, serving  # noqa: E402

from ecgclip import read_ecg  # noqa: E402
from ecgclip.index import ECGIndex  # noqa: E402
from ecgclip.simulate import write_record  # noqa: E402

AF = ("af.hea", "af.dat")


@pytest.fixture(scope="module")
def index(tmp_path_factory, tiny_model):
    """An index of three examples, of which one has a fact."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "facts.csv").write_text(f"record,report\n{RECORDS / 'lbbb'},an old report\n")
    records = [RECORDS / f"{name}.hea" for name in ("af", "lbbb", "normal")]
    ECGIndex.build(records, folder / "cases", model=tiny_model, facts=folder / "facts.csv", workers=1)
    return folder / "cases"


@pytest.fixture(scope="module")
def server(tiny_model, index, tmp_path_factory):
    with serving(tiny_model, tmp_path_factory.mktemp("tmp"), index, workers=1) as server:
        yield server


def command(*arguments):
    """The JSON that the command line prints."""
    done = subprocess.run(
        [sys.executable, "-m", "ecgclip", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def close(value, other):
    """Whether two parts of JSON are alike but for the last digits of numbers: a batch rounds otherwise."""
    if isinstance(value, dict):
        return value.keys() == other.keys() and all(close(value[key], other[key]) for key in value)
    if isinstance(value, list):
        return len(value) == len(other) and all(map(close, value, other))
    return value == pytest.approx(other, abs=1e-4, nan_ok=True) if isinstance(value, float) else value == other


def ok(answer):
    assert answer.status_code == 200, answer.text
    return answer.json() if answer.headers["content-type"] == "application/json" else answer.content


# --- facts ------------------------------------------------------------------------------------------------------------


def test_info_says_what_the_server_is(server):
    info = ok(server.client.get("/api/info"))
    assert 0 < info["model"]["threshold"] < 1
    assert info["index"]["records"] == 3
    assert {"id": "af", "name": {"en": "Atrial fibrillation", "de": "Vorhofflimmern"}} in info["examples"]
    assert info["limits"] == {"max_mb": 64, "files": 32, "time_s": 30}
    assert info["disclaimer"] == "Research software, not a medical device."


def test_the_knowledge_base_in_english_and_german(server):
    concepts = {row["id"]: row for row in ok(server.client.get("/api/kb"))}
    assert concepts["atrial-fibrillation"]["name"] == {"en": "atrial fibrillation", "de": "Vorhofflimmern"}
    assert "AFIB" in concepts["atrial-fibrillation"]["names"]
    concept = ok(server.client.get("/api/kb/AF"))
    assert concept["id"] == "atrial-fibrillation"
    assert {c["role"] for c in concept["criteria"]} >= {"required", "supporting"}
    assert all(c["source"] in concept["sources"] for c in concept["criteria"])
    assert server.client.get("/api/kb/nonsense").status_code == 404


def test_openapi_describes_every_question(server):
    paths = ok(server.client.get("/api/openapi.json"))["paths"]
    questions = {path.rpartition("/")[2] for path in paths if "post" in paths[path]}
    assert questions >= {"open", "classify", "describe", "measure", "places", "timeline", "similar", "search", "plot"}
    assert all(paths[f"/api/{name}"]["post"]["description"] for name in questions)
    fields = str(ok(server.client.get("/api/openapi.json"))["components"])
    assert all(name in fields for name in ("files", "example", "labels", "sampling_rate"))


# --- one ECG ----------------------------------------------------------------------------------------------------------


def test_open_shows_what_was_recorded(server):
    opened = ok(server.post("open", *AF))
    ecg = read_ecg(RECORDS / "af.hea")
    assert (opened["record"], opened["seconds"], opened["sampling_rate"]) == ("af", 10, 500)
    assert opened["patient"] == {"age": 63, "sex": "female", "time": None, "device": None}
    shown = np.frombuffer(base64.b64decode(opened["signal"]["leads"]["V2"]), "<i2") / 1000
    assert np.abs(shown - ecg.signal[ecg.leads.index("V2")]).max() < 0.001
    assert len(opened["beats"]) > 10
    assert all(beat["waves"]["QRS"][0] < beat["time_s"] < beat["waves"]["QRS"][1] for beat in opened["beats"])
    rate = opened["measured"][0]
    assert (rate["name"]["de"], rate["unit"], rate["answer"]) == ("Frequenz", "/min", "above")
    assert [window["start_s"] for window in opened["windows"]] == [0]


def test_an_ecg_that_was_opened_is_asked_by_its_id(server):
    key = ok(server.post("open", *AF))["ecg"]
    asked = {"labels": "AF,LBBB"}
    assert close(ok(server.post("classify", ecg=key, **asked)), ok(server.post("classify", *AF, **asked)))
    assert ok(server.post("open", ecg=key))["ecg"] == key
    unknown = server.post("classify", ecg="unknown")
    assert (unknown.status_code, unknown.json()["error"][:27]) == (404, "this ECG is no longer held:")


def test_a_part_of_the_signal_with_its_beats(server):
    part = ok(server.post("signal", *AF, start=2, seconds=3))
    assert (part["signal"]["start_s"], part["signal"]["seconds"]) == (2, 3)
    assert len(base64.b64decode(part["signal"]["leads"]["I"])) == 2 * 3 * 500
    assert all(2 <= beat["time_s"] < 5 for beat in part["beats"])
    for wrong in ({"start": 11}, {"start": -1}, {"start": "nan"}, {"seconds": 0}, {"seconds": 61}, {"seconds": "inf"}):
        assert server.post("signal", *AF, **wrong).status_code == 400, wrong


def test_limb_leads_that_follow_from_others_are_among_the_signals(server, tmp_path):
    ecg = read_ecg(RECORDS / "af")
    rows = [ecg.leads.index(lead) for lead in ("I", "II", "V1")]
    write_record(replace(ecg, signal=ecg.signal[rows], leads=("I", "II", "V1")), tmp_path / "three")
    files = [("files", (f"three.{end}", (tmp_path / f"three.{end}").read_bytes())) for end in ("hea", "dat")]
    answered = ok(server.client.post("/api/open", files=files))
    samples = {lead: np.frombuffer(base64.b64decode(row), "<i2") for lead, row in answered["signal"]["leads"].items()}
    assert set(samples) == {"I", "II", "III", "aVR", "aVL", "aVF", "V1"}
    assert np.abs(samples["III"] - (samples["II"].astype(int) - samples["I"])).max() <= 2
    assert answered["leads"] == ["I", "II", "V1"], "these were recorded"


def test_scores_are_those_of_the_command_line(server, tiny_model):
    record = RECORDS / "af.hea"
    options = ["--labels", "AF,STEMI", "--model", tiny_model, "--format", "json"]
    for more, fields in ((), {}), (("--explain",), {"explain": "true"}), (("--softmax",), {"softmax": "true"}):
        (printed,) = command("classify", record, *options, *more)
        (answered,) = ok(server.post("classify", *AF, labels="AF,STEMI", **fields))
        if more == ("--explain",):
            assert len(answered.pop("cases")) == 3  # of the index
            for score in answered["scores"]:
                score.pop("cases", None)
                score["explain"].pop("cases", None)
        assert close(answered, printed | {"record": "af"}), more


def test_sentences_are_those_of_the_command_line(server, tiny_model):
    printed = command("describe", RECORDS / "af.hea", "--model", tiny_model, "--format", "json", "--language", "de")
    answered = ok(server.post("describe", *AF, language="de"))
    assert close(answered, [printed[0] | {"record": "af"}])


def test_measurements(server):
    (answer,) = ok(server.post("measure", *AF))
    assert answer["measurements"]["heart_rate"] == pytest.approx(104, abs=2)
    assert answer["used_s"] == 10


def test_several_records_are_a_list_and_one_that_fails_loses_no_other(server):
    answers = ok(server.post("classify", *AF, "normal.hea", "normal.dat", "lbbb.hea", labels="AF"))
    assert [entry["record"] for entry in answers] == ["af", "lbbb", "normal"]
    assert ["error" in entry for entry in answers] == [False, True, False]
    assert "lbbb.dat" in answers[1]["error"]
    assert server.post("open", *AF, "normal.hea", "normal.dat").status_code == 400
    failed = server.post("classify", "lbbb.hea", labels="AF")
    assert (failed.status_code, "lbbb.dat" in failed.json()["error"]) == (422, True)


def test_what_a_label_and_its_criteria_look_at(server):
    (scored,) = ok(server.post("classify", *AF, labels="AF", explain="true"))
    seen = ok(server.post("places", *AF, label="AF"))
    assert len(seen["criteria"]) == len(scored["scores"][0]["explain"]["criteria"])
    assert all(shade["start_s"] < shade["end_s"] for shade in seen["label"])
    assert seen["label"]
    met = [c["answer"] == "met" for c in scored["scores"][0]["explain"]["criteria"]]
    assert [bool(shades) for shades, is_met in zip(seen["criteria"], met, strict=True) if is_met].count(True) >= 1


def test_a_long_record_has_a_timeline(server):
    course = ok(server.post("timeline", example="paroxysm", labels="AF,heart rate > 85"))
    assert course["windows"][:3] == [0, 10, 20]
    assert {len(course["windows"]), len(course["rate"])} == {30}
    rates = course["scores"][1]["probability"]
    assert min(rates[13:21]) > 0.5 > max(rates[:11])
    assert ok(server.post("timeline", example="paroxysm"))["scores"] is not None


# --- the index --------------------------------------------------------------------------------------------------------


def test_hits_are_those_of_the_command_line_but_for_paths(server, index, tiny_model):
    printed = command("search", "AF", "--index", index, "--model", tiny_model, "--format", "json", "--not", "LBBB")
    answered = ok(server.post("search", text="AF", **{"not": "LBBB"}))
    assert answered["notes"] == ["left out: LBBB"]
    hits = [{key: hit[key] for key in hit if key != "id"} for hit in answered["hits"]]
    assert close(hits, [hit | {"record": hit["record"].rpartition("/")[2]} for hit in printed])


def test_a_record_of_the_index_is_asked_by_its_id(server):
    hits = ok(server.post("similar", *AF, k=3))
    by_name = {hit["record"]: hit["id"] for hit in hits}
    assert ok(server.post("open", record=by_name["lbbb"]))["record"] == "lbbb"
    assert by_name["lbbb"] not in [hit["id"] for hit in ok(server.post("similar", record=by_name["lbbb"]))]
    assert ok(server.post("search", text="AF", where="report LIKE '%old%'"))["hits"][0]["report"] == "an old report"
    for unknown in ("99", "-1", "1e3", "٣", "x" * 64, "../af"):
        assert server.post("open", record=unknown).status_code == 404, unknown


def test_a_condition_cannot_hold_a_query(server):
    for where in (
        "1 = (SELECT count(*) FROM ecgs a, ecgs b)",
        "record IN (WITH x AS (VALUES (1)) TABLE x)",
        "nonsense",
    ):
        answer = server.post("search", text="AF", where=where)
        assert (answer.status_code, "\n" in answer.json()["error"]) == (400, False), where


# --- documents --------------------------------------------------------------------------------------------------------


def test_pictures(server):
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}
    for format, first in begins.items():
        assert ok(server.post("plot", *AF, format=format, show="all", label="AF")).startswith(first)
    assert b">af</text>" in ok(server.post("plot", *AF))
    for wrong in ({"layout": "9x9"}, {"speed": 3}, {"label": "nonsense"}, {"show": "x"}, {"format": "exe"}):
        answer = server.post("plot", *AF, **wrong)
        assert (answer.status_code, list(answer.json())) == (400, ["error"]), wrong


def test_reports(server):
    answer = server.post("report", *AF, labels="STEMI", language="de")
    assert "EKG-Bericht" in answer.text
    assert "<svg" in answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="af.html"'
    assert ok(server.post("report", *AF, format="pdf")).startswith(b"%PDF")


# --- misuse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("classify", {}, "name the ECG by one of"),
        ("classify", {"ecg": "a", "example": "af"}, "name the ECG by one of"),
        ("classify", {"example": "af", "labels": '"AF'}, "quote is not closed"),
        ("classify", {"example": "af", "labels": "AF,AF"}, "twice"),
        ("classify", {"example": "af", "labels": "AF,"}, "empty"),
        ("classify", {"example": "af", "labels": ",".join(map(str, range(101)))}, "101 labels"),
        ("classify", {"example": "af", "labels": "x" * 10_001}, "labels"),
        ("classify", {"example": "af", "top": "0"}, "top"),
        ("classify", {"example": "af", "softmax": "perhaps"}, "softmax"),
        ("classify", {"example": "af", "sampling_rate": "-5"}, "sampling rate"),
        ("classify", {"example": "af", "sampling_rate": "nan"}, "sampling rate"),
        ("classify", {"example": "af", "unit": "furlong"}, "unit"),
        ("describe", {"example": "af", "threshold": "7"}, "threshold"),
        ("describe", {"example": "af", "language": "fr"}, "language"),
        ("places", {"example": "af"}, "label"),
        ("search", {}, "nothing to search for"),
        ("similar", {}, "name an ECG"),
    ],
)
def test_misuse_is_one_line(server, path, fields, said):
    answer = server.post(path, **fields)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_unknown_addresses_and_methods(server):
    assert server.post("open", example="unknown").status_code == 404
    for method, path, status in (("GET", "/api/nothing", 404), ("GET", "/api/open", 405), ("DELETE", "/api/kb", 405)):
        answer = server.client.request(method, path)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert server.client.get("/static/../../../pyproject.toml").status_code == 404
    assert server.client.get("/static/%2e%2e/app.py").status_code == 404


def test_the_examples_of_the_documentation_run(server, tmp_path):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    text = (ROOT / "docs" / "serve.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("curl ")]
    assert len(lines) > 10
    for line in lines:
        line = line.replace("http://127.0.0.1:8000/", server.address).replace("-o ", f"-o {tmp_path}/")
        done = subprocess.run([*shlex.split(line), "--fail-with-body"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stdout)
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
