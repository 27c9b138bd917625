"""What the README shows: its scripts run, its records are simulated ones, and the shipped weights give its answers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ecgclip import cli
from ecgclip.knowledge import KnowledgeBase

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "examples" / "records"
WEIGHTS = ROOT / "ecgclip" / "weights"
NAMES = ("af", "inferior-stemi", "lbbb", "normal", "pvc", "rbbb")

needs_weights = pytest.mark.skipif(not (WEIGHTS / "model.safetensors").exists(), reason="ecgclip/weights is missing")


def python(*arguments, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done


# --- scripts and records ----------------------------------------------------------------------------------------------


@needs_weights
@pytest.mark.parametrize("script", ["classify.py", "embed.py"])
def test_an_example_runs(script):
    assert python(ROOT / "examples" / script).stdout


def test_the_training_example_runs(tmp_path):
    pytest.importorskip("open_clip", reason="needs ecgclip[train]")
    out = python(ROOT / "examples" / "train_on_folder.py", TMPDIR=str(tmp_path)).stdout
    weights = Path(out.splitlines()[-1].removeprefix("weights: "))
    assert (weights / "model.safetensors").exists()


def test_the_records_are_all_here():
    assert {p.name for p in RECORDS.iterdir()} == {f"{name}.{end}" for name in NAMES for end in ("dat", "hea")}


@pytest.mark.parametrize("name", NAMES)
def test_a_record_can_be_written_again(name, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ecgclip", "simulate", name, "--seed", "1", "-o", str(tmp_path / name)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    for file in (f"{name}.hea", f"{name}.dat"):
        assert (tmp_path / file).read_bytes() == (RECORDS / file).read_bytes(), file


# --- the shipped weights ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    from ecgclip import load_model

    return load_model()


@pytest.fixture(scope="module")
def ask(model):
    """ask(record, *labels) → label → probability."""
    return lambda name, *labels: {
        s.label: s.probability for s in model.classify(RECORDS / f"{name}.hea", labels).scores
    }


def test_the_source_distribution_holds_what_the_readme_points_to():
    packed = json.loads(re.search(r"sdist\]\ninclude = (\[.*\])", (ROOT / "pyproject.toml").read_text())[1])
    links = re.findall(r"\]\(([\w./-]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert {link.split("/")[0] for link in links} <= set(packed)
    assert (ROOT / "ecgclip/py.typed").exists(), "type checkers read the annotations"


@needs_weights
def test_the_weights_are_small():
    from safetensors import safe_open

    assert sum(p.stat().st_size for p in WEIGHTS.rglob("*") if p.is_file()) <= 40e6
    with safe_open(WEIGHTS / "model.safetensors", "numpy") as weights:
        assert sum(weights.get_tensor(name).size for name in weights.keys()) <= 12e6  # noqa: SIM118


@needs_weights
def test_loading_embeds_no_passage_anew():
    from safetensors.numpy import load_file

    kb = KnowledgeBase.load()
    assert json.loads((WEIGHTS / "knowledge_base.json").read_text(encoding="utf-8"))["digest"] == kb.digest
    assert len(load_file(WEIGHTS / "vectors.safetensors")["passages"]) == len(kb.passages)


@needs_weights
def test_the_compiled_copy_is_what_the_knowledge_base_compiles_to(monkeypatch):
    copy = KnowledgeBase.load()
    monkeypatch.setattr("ecgclip.knowledge.entries.COMPILED", Path("none"))
    parsed = KnowledgeBase.load()
    assert (copy.concepts, copy.sources) == (parsed.concepts, parsed.sources)


@needs_weights
def test_atrial_fibrillation_is_recognised(ask):
    answer = ask("af", "AF", "STEMI")
    assert answer["AF"] > 0.5
    assert answer["AF"] > answer["STEMI"]


@needs_weights
@pytest.mark.parametrize("name, label", [("lbbb", "LBBB"), ("rbbb", "RBBB"), ("pvc", "PVC"), ("af", "AF")])
def test_the_right_abnormality_is_the_best_of_four(ask, name, label):
    """Without "normal ECG" as a fifth: cardiologists call every sixth ECG of PTB-XL with such beats normal."""
    answer = ask(name, "LBBB", "RBBB", "AF", "PVC")
    assert max(answer, key=answer.get) == label, answer


@needs_weights
def test_normal_is_normal(ask):
    normal = {name: ask(name, "normal ECG")["normal ECG"] for name in NAMES}
    assert max(normal, key=normal.get) == "normal"
    assert normal["normal"] > 0.8
    for name in ("inferior-stemi", "lbbb", "rbbb"):
        assert normal[name] < 0.5, name


@needs_weights
@pytest.mark.parametrize("name", NAMES)
def test_german_gives_the_same_answer(ask, name):
    german, english = ask(name, "Vorhofflimmern"), ask(name, "atrial fibrillation")
    assert list(german.values()) == pytest.approx(list(english.values()))


# --- words ------------------------------------------------------------------------------------------------------------

NONSENSE = [
    *("xkqz", "wplmfd", "zzgrt", "bvnhy trwq", "jjklop mmnb", "ghzt", "qxv"),
    *("ouiea", "tzrwpm lkjhg", "vbnmqw", "prlf", "dsfgk", "hqwoei"),
    *("asdf", "qwerty", "yxcv", "jklö", "poiuzt", "mnbv", "qaywsx", "aaaa", "abcabcabc", "hahaha"),
    *("7", "1234", "00000", "31415926", "12.5", "2024-05-01", "-", "?", "...", "###", "%&!"),
    *("pizza", "cheese sandwich", "mortgage rates", "a red bicycle"),
    *("violin concerto", "chess opening", "umbrella", "toothache"),
    *("Gartenzwerg", "Steuererklärung", "Regenschirm", "Kartoffelsalat"),
    *("Straßenbahn", "Fußballtor", "Schraubenzieher", "Hüftgelenk"),
]


@needs_weights
def test_nonsense_finds_no_concept(model):
    assert len(NONSENSE) == 50
    assert {label: prompt.concept.id for label in NONSENSE if (prompt := model.prompt(label)).concept} == {}


@needs_weights
@pytest.mark.parametrize(
    "typed, concept",
    {
        "atrial fibrilation": "atrial-fibrillation",
        "Vorhofflimern": "atrial-fibrillation",
        "Linkschenkelblock": "left-bundle-branch-block",
        "inferior wall heart attack": "inferior-myocardial-infarction",
        "normaler Befund": "normal-ecg",
        "3rd degree AVB": "complete-av-block",
        "hypoK": "hypokalemia",
    }.items(),
)
def test_misspellings_and_paraphrases_find_their_concept(model, typed, concept):
    found = model.prompt(typed).concept
    assert found is not None
    assert found.id == concept


@needs_weights
def test_what_is_left_out_of_a_search_is_not_found(model, tmp_path):
    from ecgclip.index import ECGIndex

    index = ECGIndex.build([RECORDS], tmp_path / "index", model=model, workers=1)
    for options in ({"text": "infarction", "without": "left bundle branch block"}, {"text": "infarction without LBBB"}):
        hits = index.search(**options, like=RECORDS / "inferior-stemi")
        assert hits
        assert "lbbb" not in [Path(hit.record).name for hit in hits]


DENIALS = {
    "without atrial fibrillation": "AF",
    "kein Vorhofflimmern": "AF",
    "not normal": "normal",
}


@needs_weights
@pytest.mark.parametrize("name", NAMES)
def test_a_denial_is_answered_by_its_complement(ask, name):
    answer = ask(name, "AF", "normal", *DENIALS)
    for denial, denied in DENIALS.items():
        assert answer[denial] == pytest.approx(1 - answer[denied], abs=1e-6)


@needs_weights
@pytest.mark.parametrize("name", NAMES)
def test_abnormal_is_not_normal_or_another_rhythm(ask, name):
    answer = ask(name, "not normal", "auffälliges EKG")
    assert answer["auffälliges EKG"] >= answer["not normal"] - 1e-6
    if name == "af":
        assert answer["auffälliges EKG"] > 0.8


def test_the_conditions_of_the_page_on_extending_load(tmp_path):
    page = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
    entry = page.split("```yaml\n")[1].split("```")[0]
    for file in (ROOT / "knowledge_base").glob("*.yaml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "my-condition.yaml").write_text(entry, encoding="utf-8")
    found = KnowledgeBase.load(tmp_path).find("MyC")
    assert found is not None
    assert found.id == "my-condition"
