"""`ecgclip train` and `ecgclip eval`: what is missing is named, and tables are shown."""

from commandline import assert_misuse
from toy import write_ptb_xl


def test_train_names_what_is_missing(run, tmp_path):
    options = ("--data", tmp_path, "-o", tmp_path / "o")
    assert_misuse(run("train", "text", "nonsense", *options), "default")
    assert_misuse(run("train", "text", "default", "--data", tmp_path / "none", "-o", tmp_path / "o"), "no such folder")
    assert_misuse(run("train", "clip", "default", *options, "--text", tmp_path / "none"), "no such folder")
    assert_misuse(run("train", "clip", "default", *options, "--text", tmp_path, "--ecg", tmp_path / "none"), "no such")
    assert_misuse(run("train", "ecg", "merl", *options), "no ecg_pretraining")


def test_eval_names_what_is_missing(run, tiny_model, tmp_path):
    output = ("-o", tmp_path / "o")
    options = ("--label-set", "ptb-xl-super", *output, "--model", tiny_model)
    root = write_ptb_xl(tmp_path / "ptb-xl", 5, fold=9)
    ptb_xl = ("--dataset", "ptb-xl", root)
    assert_misuse(run("eval", "zeroshot", "--dataset", "nonsense", tmp_path, *options), "nonsense", "ptb-xl")
    assert_misuse(run("eval", "zeroshot", *ptb_xl, *options), "fold 10")
    assert_misuse(run("eval", "zeroshot", *ptb_xl, *options, "--fold", "nine"), "--fold 'nine'")
    assert_misuse(run("eval", "probe", *ptb_xl, *options, "--fold", "9"), "to train on")
    assert_misuse(run("eval", "probe", *ptb_xl, *options, "--shares", "few"), "--shares 'few'")
    assert_misuse(run("eval", "retrieval", "--dataset", "ludb", tmp_path / "none", *output), "no such folder")
    assert_misuse(run("eval", "compare", tmp_path / "a", tmp_path / "b", *output), "results.json")


def test_eval_shows_its_tables(run, tiny_model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", 10, fold=9)
    options = ("--dataset", "ptb-xl", root, "--fold", "9", "--least", "2", "--model", tiny_model)
    code, out, _ = run("eval", "zeroshot", *options, "--label-set", "superclass", "-o", tmp_path / "a")
    assert code == 0
    for words in ("average precision", "NORM", "random weights"):
        assert words in out
    code, out, _ = run("eval", "retrieval", *options, "-o", tmp_path / "r")
    assert code == 0
    assert "text → ECG" in out
    assert "sinus rhythm" in out
    code, out, _ = run("eval", "compare", tmp_path / "a", tmp_path / "a", "-o", tmp_path / "c")
    assert code == 0
    assert "+0.000 (+0.000 to +0.000)" in out
    results = (tmp_path / "c" / "results.json").read_text()
    assert f"{tmp_path / 'c'}" not in results, "where results are written is no result"
