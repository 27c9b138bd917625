"""Zero-shot evaluation of a whole data set: the same command gives the same file."""

import json
import shutil

import numpy as np
import pytest
import wfdb
from toy import write_ptb_xl

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.evaluate.zeroshot import zeroshot
from ecgclip.simulate import simulate, write_record


def test_zeroshot_writes_the_contract_and_the_same_file_again(data, tiny_model, tmp_path):
    for name in ("a", "b"):
        results = zeroshot(
            "ptb-xl", data, "ptb-xl-super", tmp_path / name, fold=9, min_positives=2, weights=tiny_model, seed=7
        )
    text = (tmp_path / "a" / "results.json").read_text()
    assert (tmp_path / "b" / "results.json").read_text() == text
    assert json.loads(text) == results
    contract = (
        "task dataset label_set records weights_sha256 data_sha256 code_version command macro random_encoder labels"
    )
    assert set(contract.split()) <= results.keys()
    assert (results["task"], results["dataset"], results["label_set"]) == ("zeroshot", "ptb-xl", "ptb-xl-super")
    assert results["records"] == 20
    assert len(results["weights_sha256"]) == len(results["data_sha256"]) == 64
    for part in (results["macro"], results["random_encoder"]):
        value, low, high = part["auroc"]
        assert 0 <= low <= value <= high <= 1
    assert results["macro"]["auroc"] != results["random_encoder"]["auroc"]
    rows = {r["label"]: r for r in results["labels"]}
    assert {k: r["positives"] for k, r in rows.items()} == {"NORM": 4, "CD": 4, "HYP": 4, "MI": 4, "STTC": 0}
    assert all(len(rows[k]["auroc"]) == 3 for k in ("NORM", "CD", "HYP", "MI"))
    assert not list(tmp_path.rglob("*.partial"))


def test_zeroshot_says_what_each_witness_says_alone(data, tiny_model, tmp_path):
    deaf = zeroshot("ptb-xl", data, "ptb-xl-super", fold=9, min_positives=2, weights=tiny_model)
    assert deaf["alone"]["vector"]["auroc"] == deaf["macro"]["auroc"]
    assert deaf["alone"]["criteria"] == {"auroc": None, "labels": 0}
    model = shutil.copytree(tiny_model, tmp_path / "model")
    stored = json.loads((model / "config.json").read_text())
    stored["witnesses"] = {"weights": [1.0] * 8, "bias": -1.0, "trained": [0.3, 1.0, 0.0], "untrained": [0.3, 1.0, 0.0]}
    (model / "config.json").write_text(json.dumps(stored))
    results = zeroshot("ptb-xl", data, "annotated", tmp_path / "out", fold=9, min_positives=2, weights=model)
    assert json.loads((tmp_path / "out" / "results.json").read_text())["alone"] == results["alone"]
    vector, criteria = (results["alone"][name] for name in ("vector", "criteria"))
    assert 0 < criteria["labels"] <= sum(row["in_macro"] for row in results["labels"])
    assert criteria["auroc"][0] > 0.85, "the criteria tell simulated conditions apart"
    assert criteria["auroc"][1] <= criteria["auroc"][0] <= criteria["auroc"][2]
    assert vector["auroc"][0] < results["macro"]["auroc"][0], "the vectors of random weights do not"
    one = zeroshot("ptb-xl", data, "ptb-xl-super", fold=9, min_positives=2, weights=model, leads=["I"])
    assert one["alone"]["criteria"]["auroc"][0] < criteria["auroc"][0]


def test_zeroshot_says_more_than_auroc_and_draws_it(data, tiny_model, tmp_path):
    results = zeroshot("ptb-xl", data, "superclass", tmp_path, fold=[9], min_positives=2, weights=tiny_model)
    row = results["labels"][0]
    for part in (results["macro"], row):
        for name in ("auroc", "average_precision", "f1", "sensitivity", "specificity"):
            value, low, high = part[name]
            assert 0 <= low <= high <= 1
            assert low <= value + 1e-9
            assert value <= high + 1e-9
    assert {"ece", "brier"} <= row.keys()
    assert results["calibration"]["bins"]
    assert {(g["by"], g["group"]): g["records"] for g in results["subgroups"]} == {
        ("report language", "English"): 12,
        ("report language", "German"): 8,
        ("sex", "female"): 10,
        ("sex", "male"): 10,
    }, "all are of one age band and one device: nothing to compare"
    assert {g["by"] for g in results["worst_groups"]} <= {"report language", "sex"}
    page = (tmp_path / "results.md").read_text()
    assert results["weights_sha256"] in page
    assert "| NORM | – | 4 of 20 |" in page
    assert "(auroc.png)" in page
    for name in ("auroc.png", "reliability.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_results_say_which_labels_and_which_source_the_training_had(data, tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    stored = json.loads(file.read_text())
    for sources, seen in ((["ptb-xl", "mitdb"], True), (["mimic-iv-ecg"], False)):
        facts = {"concepts": ["normal-ecg", "hypertrophy"], "recipe": {"data": {s: {"folds": [1]} for s in sources}}}
        file.write_text(json.dumps(stored | {"training": facts}))
        results = zeroshot("ptb-xl", data, "superclass", tmp_path, fold=9, min_positives=2, weights=tmp_path / "model")
        assert results["source_trained"] is seen
        named = {row["label"]: row["trained"] for row in results["labels"]}
        assert named == {"NORM": True, "HYP": True, "MI": False, "STTC": False, "CD": False}
    assert "| MI | no | 4 of 20 |" in (tmp_path / "results.md").read_text()
    assert zeroshot("ptb-xl", data, "superclass", fold=9, weights=tiny_model)["source_trained"] is None


def test_the_published_split_is_fold_10_and_leaves_out_records_without_a_label(tiny_model, tmp_path):
    root = write_ptb_xl(tmp_path, 10, fold=10)
    whole = zeroshot("ptb-xl", root, "form", min_positives=1, weights=tiny_model)
    assert (whole["records"], whole["fold"]) == (10, 10)
    labelled = zeroshot("ptb-xl", root, "form", min_positives=1, labelled=True, weights=tiny_model)
    assert labelled["records"] == 2, "only the two with STE_ have a form statement"


def test_a_subclass_is_what_scp_statements_csv_says(data, tiny_model):
    rows = {
        r["label"]: r["positives"] for r in zeroshot("ptb-xl", data, "subclass", fold=9, weights=tiny_model)["labels"]
    }
    assert {k: n for k, n in rows.items() if n} == {"NORM": 4, "CLBBB": 4, "LVH": 4, "AMI": 4}


def test_every_heartbeat_of_mit_bih_is_scored_by_record_set(tiny_model, tmp_path):
    beats = simulate("pvc", sampling_rate=360, seconds=40)
    peaks = np.array(beats.metadata["truth"]["r_peaks_s"])
    for name in ("100", "101"):
        write_record(beats, tmp_path / name)
        at = np.r_[5, (peaks * 360).astype(int)]
        symbol = ["+", *("V" if i % 3 == 2 else "L" for i in range(len(peaks)))]
        notes = ["(N", *[""] * len(peaks)]
        wfdb.wrann(name, "atr", at, symbol=symbol, aux_note=notes, fs=360, write_dir=str(tmp_path))
    results = zeroshot("mitdb", tmp_path, "aami-beats", tmp_path / "out", weights=tiny_model)
    assert results["records"] == results["patients"] == 1, "101 is of DS1, and not of the published test split"
    inside = int((peaks < peaks[-1] // 10 * 10).sum())
    assert inside * 0.8 < results["beats"]["scored"] <= results["beats"]["annotated"] <= len(peaks)
    rows = {r["label"]: r for r in results["labels"]}
    assert rows["V"]["positives"] + rows["N"]["positives"] == results["beats"]["scored"], (
        "a bundle branch block beat is N"
    )
    assert rows["V"]["auroc"]
    assert rows["S"]["auroc"] is None
    both = zeroshot("mitdb", tmp_path, "mitdb-rhythm", fold=[1, 2], weights=tiny_model)
    assert both["patients"] == 2
    assert both["records"] == 6
    assert both["labels"][0]["known"] == 4, "the first rhythm is written a few samples after the first stretch begins"
    with pytest.raises(EcgclipError, match="heartbeats"):
        zeroshot("ptb-xl", write_ptb_xl(tmp_path / "ptb", 5, fold=9), "aami-beats", fold=9, weights=tiny_model)


def test_fewer_leads_german_names_and_all_annotated_labels(data, tiny_model):
    whole = zeroshot("ptb-xl", data, "ptb-xl-super", fold=9, min_positives=2, weights=tiny_model)
    one = zeroshot(
        "ptb-xl", data, "ptb-xl-super", fold=9, min_positives=2, weights=tiny_model, leads=["I"], naming="de"
    )
    assert one["leads"] == ["I"]
    assert whole["leads"] == list(LEADS)
    assert [r["concept"] for r in one["labels"]] == [r["concept"] for r in whole["labels"]]
    assert one["labels"][0]["label"] == "normales EKG"
    assert one["macro"]["auroc"] != whole["macro"]["auroc"]
    found = zeroshot("ptb-xl", data, "annotated", fold=9, min_positives=2, weights=tiny_model, enrich=False)
    positives = {r["concept"]: r["positives"] for r in found["labels"]}
    assert positives["left-bundle-branch-block"] == 4
    assert positives["sinus-rhythm"] == 16


@pytest.mark.parametrize(
    "arguments, problem",
    [
        (("nonsense", ".", "ptb-xl-super"), "no data set 'nonsense'"),
        (("ptb-xl", ".", "nonsense"), "ptbxl_database"),
        (("challenge-2017", "/nowhere", "cinc2017"), "REFERENCE"),
    ],
)
def test_what_is_not_there_is_one_line(tiny_model, arguments, problem):
    with pytest.raises(EcgclipError, match=problem) as error:
        zeroshot(*arguments, weights=tiny_model)
    assert "\n" not in str(error.value)


def test_no_such_label_set_or_fold(data, tiny_model):
    with pytest.raises(EcgclipError, match="no label set"):
        zeroshot("ptb-xl", data, "nonsense", fold=9, weights=tiny_model)
    with pytest.raises(EcgclipError):
        zeroshot("ptb-xl", data, "ptb-xl-super", fold=3, weights=tiny_model)


def test_an_unreadable_record_is_left_out_of_the_scores(tiny_model, tmp_path, capsys):
    root = write_ptb_xl(tmp_path, 10, fold=9)
    (root / "records100/00000/00003_lr.dat").write_bytes(b"")
    results = zeroshot("ptb-xl", root, "ptb-xl-super", fold=9, min_positives=1, weights=tiny_model)
    assert results["records"] == 9
    assert "00003_lr" in capsys.readouterr().err
