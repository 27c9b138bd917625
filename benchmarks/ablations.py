"""What each part is worth.

    python benchmarks/ablations.py train $ECGCLIP_DATA runs/ablations [--seeds 3] [--jobs 1] [ROW or GROUP ...]
    python benchmarks/ablations.py table $ECGCLIP_DATA runs/ablations results/ablations

`train` trains and scores the rows of benchmarks/ablations.yaml, except those that runs/ablations has already. `table`
compares each with the first row of its group, on the same records and resamples. Choices are made by `validation`, not
by fold 9 or the sets out of domain.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save_file
from scipy.stats import t

from ecgclip.data.cases import Case
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.data.windows import Windows, load_windows
from ecgclip.ecg import LEADS
from ecgclip.evaluate.metrics import Labels, difference, label_summary, resample
from ecgclip.evaluate.results import cases_hash
from ecgclip.evaluate.truth import cases_to_test, choose_labels, patient_numbers, truth_table
from ecgclip.files import code_version, write_json
from ecgclip.knowledge.criteria.readings import Readings, combine
from ecgclip.measure.measurement import measure
from ecgclip.measure.vector import features
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model
from ecgclip.networks import encoder, heads
from ecgclip.networks.heads import BeatHead
from ecgclip.peaks import r_peaks
from ecgclip.prepare import SAMPLING_RATE
from ecgclip.processes import cores
from ecgclip.train import wording
from ecgclip.train.clip import train_clip
from ecgclip.train.ecg import train_ecg
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, finding_words, load_split, windows_cache
from ecgclip.train.targets import targets
from ecgclip.train.text import train_text
from ecgclip.train.validation import embed_windows, validation_auroc

ROOT = Path(__file__).parent.parent
FILE = Path(__file__).with_suffix(".yaml")


# --- what a recipe cannot say -----------------------------------------------------------------------------------------


def learned_queries() -> None:
    """MELP's beats: the beat head gets no R peak, so that its learned queries stand in."""
    forward = BeatHead.forward
    BeatHead.forward = lambda self, tokens, mask, peaks: forward(self, tokens, mask, peaks * torch.nan)


def no_intervals() -> None:
    """Neither a beat nor the rhythm knows how far apart the beats are."""
    heads.rr_features = lambda peaks, original=heads.rr_features: torch.zeros_like(original(peaks))
    encoder.rr_statistics = lambda peaks, original=encoder.rr_statistics: torch.zeros_like(original(peaks))


def plain_targets() -> None:
    """CLIP's targets: the only positive of an ECG is its own text."""
    write, count = wording.Composer.write, iter(range(sys.maxsize))
    wording.Composer.write = lambda self, *inputs: (write(self, *inputs)[0], str(next(count)))


def measured_sentences(limit: str) -> None:
    """At most so many in a composed text."""
    wording.MAX_FINDINGS = int(limit)


# --- training ---------------------------------------------------------------------------------------------------------


def groups() -> dict[str, dict[str, dict[str, Any]]]:
    """Group → row → its changes of recipes/default.yaml; the first row of a group is its base."""
    stored = yaml.safe_load(FILE.read_text())["groups"]
    return {name: {row: g["budget"] | changes for row, changes in g["rows"].items()} for name, g in stored.items()}


def recipe_of(changes: dict[str, Any], row: str, seed: int) -> tuple[Recipe, str]:
    """A row's recipe, and the call of its patch ("": none)."""
    fields = asdict(Recipe.load(ROOT / "recipes/default.yaml"))
    patch = ""
    for key, value in changes.items():
        *path, last = key.split(".")
        part = fields
        for name in path:
            part = part[name]
        if key == "patch":
            patch = value
        elif key == "data":
            part["data"] = {source: options for source, options in part["data"].items() if source in value}
        else:
            part[last] = value
    return Recipe(**(fields | {"name": row, "seed": seed})), patch


def folder_of(runs: Path, row: str, seed: int) -> Path:
    return runs / f"{row.replace(' ', '-').replace('%', 'percent')}-{seed}"


def train(data: Path, out: Path, wanted: list[str], seeds: int, jobs: int) -> list[str]:
    """Train text encoders, then rows by seed, in `jobs` processes at a time; the names of what failed."""
    every = {row: (group, changes) for group, rows in groups().items() for row, changes in rows.items()}
    if unknown := set(wanted) - every.keys() - groups().keys():
        sys.exit(f"{FILE.name} has no row or group {sorted(unknown)[0]!r}")
    rows = {row: changes for row, (group, changes) in every.items() if not wanted or {row, group} & set(wanted)}
    running: dict[int, str] = {}
    failed: list[str] = []
    texts = {text_of(recipe, out): recipe for recipe in (recipe_of(c, r, 0)[0] for r, (_, c) in every.items())}
    for folder in {text_of(recipe_of(c, r, 0)[0], out) for r, c in rows.items()}:
        if not (folder / "text.json").exists():
            failed += wait(running, jobs - 1)
            running[fork(make_text, data, texts[folder], folder)] = str(folder)
    failed += wait(running, 0)
    for seed in range(seeds):
        for row, changes in rows.items():
            folder = folder_of(out, row, seed)
            if not (folder / "row.json").exists():
                failed += wait(running, jobs - 1)
                threads = max(1, cores() // jobs)
                running[fork(train_row, data, out, folder, changes, row, seed, threads)] = f"{row}, seed {seed}"
    return failed + wait(running, 0)


def wait(running: dict[int, str], limit: int) -> list[str]:
    """Wait until no more than `limit` of the running processes are left; the names of those that failed."""
    failed = []
    while len(running) > limit:
        child, status = os.wait()
        name = running.pop(child)
        failed += [name] * bool(status)
        print(f"{'failed' if status else 'done'}: {name}", flush=True)
    return failed


def fork(function: Callable[..., None], *arguments: Any) -> int:
    """Call a function in a process of its own, with which its patches and threads end; the number of the process."""
    child = os.fork()
    if child:
        return child
    try:
        function(*arguments)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def text_of(recipe: Recipe, out: Path) -> Path:
    """The folder of the text encoder that a row begins with; most rows share one."""
    if not recipe.epochs:
        return out / "shipped-text"
    return out / ("text-pretrained" if recipe.pretraining["epochs"] else "text")


def make_text(data: Path, recipe: Recipe, folder: Path) -> None:
    if recipe.epochs:
        train_text(replace(recipe, seed=0), data, folder)
    else:
        write_text(load_model(), folder)


def train_row(data: Path, out: Path, folder: Path, changes: dict[str, Any], row: str, seed: int, threads: int) -> None:
    recipe, patch = recipe_of(changes, row, seed)
    if patch:
        name, *arguments = patch.split()
        globals()[name](*arguments)
    if not (folder / "model/config.json").exists():
        ecg = train_ecg(recipe, data, folder / "ecg", threads) if recipe.ecg_pretraining else None
        train_clip(recipe, data, text_of(recipe, out), folder, threads, ecg)
    score(data, folder, row)


def write_text(model: ECGCLIP, folder: Path) -> None:
    """Write the text encoder of a model, as `ecgclip train text` would."""
    folder.mkdir(parents=True, exist_ok=True)
    model.tokenizer.save(folder)
    save_file({k: v.contiguous() for k, v in model.build_text().state_dict().items()}, folder / "text.safetensors")
    (folder / "text.json").write_text(json.dumps(asdict(model.config.text)))


# --- measuring --------------------------------------------------------------------------------------------------------


def one_lead(windows: Windows, lead: str) -> Windows:
    """The same windows as a device with one lead would have recorded them."""
    recorded = np.zeros(12, bool)
    recorded[LEADS.index(lead)] = True
    peaks, measured = np.full_like(windows.r_peaks, np.nan), windows.features.copy()
    for i, (signal, mask, length) in enumerate(zip(windows.signal, windows.mask, windows.length, strict=True)):
        signal = signal[:, :length].astype(np.float32) * recorded[:, None]
        at = r_peaks(signal, mask & recorded)[: peaks.shape[1]]
        peaks[i, : len(at)] = at / SAMPLING_RATE
        measured[i, 0] = features(measure(signal, mask & recorded, at))
    return replace(windows, mask=windows.mask & recorded, r_peaks=peaks, features=measured)


Set = tuple[list[Case], Windows, Labels, int]  # cases, windows, labels, positives that a label needs


def test_sets(model: ECGCLIP, data: Path) -> dict[str, Set]:
    """What every row is scored on, by name."""
    sets = whole_sets(model, data)
    cases, windows, five, least = sets["fold 9, superclasses"]
    return sets | {"fold 9, lead I": (cases, one_lead(windows, "I"), five, least)}


def whole_sets(model: ECGCLIP, data: Path) -> dict[str, Set]:
    """Those with all leads that were recorded."""

    def loaded(cases: list[Case]) -> tuple[list[Case], Windows]:
        return cases, load_windows(cases, windows_cache(), cores(), variants=1)

    def labels(dataset: str, label_set: str, cases: list[Case]) -> Labels:
        return choose_labels(model, dataset, label_set, cases, "code")

    fold = loaded(cases_to_test(model, "ptb-xl", data / "ptb-xl", 9))
    cpsc = loaded(cases_to_test(model, "cpsc2018", data / "challenge-2020"))
    others = loaded(cases_to_test(model, "challenge-2020", data / "challenge-2020"))
    handheld = loaded(cases_to_test(model, "challenge-2017", data / "challenge-2017"))
    five = labels("ptb-xl", "superclass", fold[0])
    return {
        "fold 9, superclasses": (*fold, five, 5),
        "fold 9, all statements": (*fold, labels("ptb-xl", "all", fold[0]), 5),
        "CPSC2018": (*cpsc, labels("cpsc2018", "cpsc2018", cpsc[0]), 4),
        "other challenge 2020": (*others, labels("challenge-2020", "annotated", others[0]), 4),
        "challenge 2017": (*handheld, labels("challenge-2017", "cinc2017", handheld[0]), 5),
    }


def by_record(windows: Windows, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the cases that were read, and the mean vector (cases, dim) of the windows of each."""
    cases, row = np.unique(windows.case, return_inverse=True)
    total = np.zeros((len(cases), vectors.shape[1]))
    np.add.at(total, row, vectors)
    return cases, total / np.bincount(row)[:, None]


def readings_by_record(windows: Windows, cases: list[Case]) -> Readings:
    """What was measured in each of the cases that were read, in their order."""
    rows = np.stack([combine(windows.readings[windows.case == i]) for i in np.unique(windows.case)])
    return Readings(rows, [case.age for case in cases], [case.sex for case in cases])


# The row whose measurements are also scored without the signal
ALONE_OF = "with the measurements and a teacher"


def score(data: Path, folder: Path, row: str) -> None:
    """Write beside a trained row what `table` needs: similarities (records, labels) by set, and row.json."""
    shipped, model = load_model(), load_model(folder / "model", ROOT / "knowledge_base")
    sets = test_sets(shipped, data)
    held_out = load_split(Recipe.load(ROOT / "recipes/default.yaml"), data, shipped.kb, validation=True)
    summary: dict[str, Any] = {k: model.config.training[k] for k in ("seconds", "code_version")}
    summary |= {"records_sha256": records_hash(sets), "validation": round(validation_auroc(model, held_out), 4)}
    if row in groups()["texts"]:
        summary["share_of_words"] = measured_share(held_out, shipped)
    np.savez_compressed(folder / "scores.npz", **measured_sets(model, sets))
    if row == ALONE_OF:
        np.savez_compressed(folder / "alone.npz", **measured_sets(model, sets, alone=True))
    write_json(folder / "row.json", summary)


def records_hash(sets: dict[str, Set]) -> str:
    """A hash of the records and labels that scores.npz is about."""
    labels = json.dumps([(name, s[2].names, s[2].concepts) for name, s in sets.items()])
    return cases_hash([c for s in sets.values() for c in s[0]]) + hashlib.sha256(labels.encode()).hexdigest()[:8]


def measured_sets(model: ECGCLIP, sets: dict[str, Set], alone: bool = False) -> dict[str, np.ndarray]:
    """Name of a set → similarity (records, labels); alone: of the measurements without the signal."""
    scores: dict[str, np.ndarray] = {}
    vectors: dict[int, np.ndarray] = {}  # by the windows, which sets share
    for name, (_, windows, labels, _) in sets.items():
        if id(windows) not in vectors:
            of_windows = measured_vectors(model, windows) if alone else embed_windows(model, windows)
            vectors[id(windows)] = by_record(windows, of_windows)[1]
        prompts = np.stack([model.concept_vector(concept) for concept in labels.concepts])
        scores[name] = (vectors[id(windows)] @ prompts.T).astype(np.float32)
    return scores


@torch.no_grad()
def measured_vectors(model: ECGCLIP, windows: Windows) -> np.ndarray:
    return model.ecg.measured(torch.from_numpy(windows.measured(0, model.config.ecg.demographics).copy())).numpy()


Row = dict[str, Any]


def table(data: Path, runs: Path, out: Path) -> None:
    """Compare all rows that were trained, group by group, and write `out`/results.json.

    A group without a trained row keeps the figures that stand there.
    """
    torch.set_num_threads(cores())
    shipped = load_model()
    scored = Scored(test_sets(shipped, data))
    held_out = load_split(Recipe.load(ROOT / "recipes/default.yaml"), data, shipped.kb, validation=True)
    stored = out / "results.json"
    results: dict[str, Any] = {"task": "ablations", "groups": {}}
    results["groups"] |= json.loads(stored.read_text())["groups"] if stored.exists() else {}
    for group, rows in groups().items():
        if entries := group_rows(scored, list(rows), runs):
            widen(entries, list(scored.sets))
            results["groups"][group] = {"changes": rows, "rows": entries}
    results["like_cases"] = like_cases(shipped, held_out)
    results |= {
        "weights_sha256": shipped.weights_sha256,
        "data_sha256": cases_hash([c for s in scored.sets.values() for c in s[0]]),
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
    }
    write_json(stored, results)


class Scored:
    """The test sets with the truth and the patients of their records."""

    def __init__(self, sets: dict[str, Set]):
        self.sets, self.hash = sets, records_hash(sets)
        cases_read = {name: [s[0][i] for i in np.unique(s[1].case)] for name, s in sets.items()}
        self.truth = {name: truth_table(cases, sets[name][2]) for name, cases in cases_read.items()}
        self.patients = {name: patient_numbers(cases) for name, cases in cases_read.items()}

    def row(self, row: str, scores: list[dict], base: list[dict], summaries: list[dict]) -> Row:
        """Of each set, the AUROC of each seed and its paired difference from the base, with an interval by patient."""
        entry: Row = {"row": row, "seeds": len(scores)}
        entry |= {key: [summary[key] for summary in summaries] for key in ("seconds", "code_version", "validation")}
        if summaries and "share_of_words" in summaries[0]:
            entry["share_of_words"] = summaries[0]["share_of_words"]
        for name, (_, _, labels, min_positives) in self.sets.items():
            truth, patients = self.truth[name], self.patients[name]
            figures = [resample(s[name], truth, patients, 0) for s in scores]
            entry[name] = [label_summary(f, truth, labels, min_positives)[1]["auroc"][0] for f in figures]
            if scores is not base:
                entry[f"{name}, less base"] = [
                    difference(a[name], b[name], truth, patients, labels, min_positives, 0)[1]["auroc"]
                    for a, b in zip(base, scores, strict=False)
                ]
        print(row, entry["validation"], {name: entry[name] for name in self.sets}, flush=True)
        return entry


def group_rows(scored: Scored, rows: list[str], runs: Path) -> list[Row]:
    """The entries of a group's trained rows. Exits where one was scored on other records or labels."""
    entries: list[Row] = []
    base: list[dict] = []
    for row in rows:
        folders = [f for seed in range(10) if ((f := folder_of(runs, row, seed)) / "row.json").exists()]
        if not folders:
            continue
        summaries = [json.loads((f / "row.json").read_text()) for f in folders]
        if any(summary["records_sha256"] != scored.hash for summary in summaries):
            sys.exit(f"{row}: was scored on other records or labels than now; remove its row.json and train again")
        scores = [dict(np.load(f / "scores.npz")) for f in folders]
        base = base or scores
        entries.append(scored.row(row, scores, base, summaries))
        if row == ALONE_OF:
            alone = [dict(np.load(f / "alone.npz")) for f in folders]
            entries.append(scored.row("the measurements of that alone", alone, base, []))
    return entries


def widen(rows: list[Row], sets: list[str]) -> None:
    """Make the differences from the base one [mean, low, high], in place, that covers chance by seed and by patient.

    A few seeds tell little of the spread of one row, so the variance between seeds is pooled over the group.
    """
    for name in sets:
        values = [np.array(row[name]) for row in rows if len(row[name]) > 1]
        freedom = sum(len(v) - 1 for v in values)
        variance = sum(((v - v.mean()) ** 2).sum() for v in values) / freedom if freedom else np.nan
        for row in (r for r in rows if f"{name}, less base" in r):
            low, high = np.mean(row[f"{name}, less base"], 0)[1:]
            mean = np.mean(row[name]) - np.mean(rows[0][name])
            by_seed = t.ppf(0.975, freedom) * np.sqrt(variance * (1 / len(row[name]) + 1 / len(rows[0][name])))
            half = np.hypot((high - low) / 2, by_seed)
            ends = [mean - half, mean + half] if freedom else [np.nan, np.nan]
            row[f"{name}, less base"] = [None if np.isnan(x) else round(float(x), 4) for x in (mean, *ends)]


MARK = "\N{WORD JOINER}"  # on each word of a measured sentence


class Marked(wording.Wording):
    def draw(self, *arguments, **options) -> str:
        return " ".join(word + MARK for word in super().draw(*arguments, **options).split())


def measured_share(held_out: dict[str, Split], model: ECGCLIP) -> float:
    """The share of the words of composed texts in measured sentences, counted on the validation split."""
    split = next(iter(held_out.values()))
    concepts = tuple(model.kb.concepts)
    truth = targets(split.cases, split.windows, concepts)
    composer = wording.Composer(model.kb, finding_words(model.kb), concepts)
    marked = total = 0
    composer.findings = {key: Marked(w.affirm, w.deny) for key, w in composer.findings.items()}
    for i, number in enumerate(split.windows.case):
        case = split.cases[number]
        statements = [concepts[j] for j in np.flatnonzero(truth[i] == 1) if concepts[j] in case.statements]
        findings = [split.windows.finding_keys[j] for j in np.flatnonzero(split.windows.findings[i] == 1)]
        findings = [key for key in findings if key in composer.findings]
        words = composer.write(case, statements, findings, np.random.default_rng(i))[0].split()
        marked += sum(MARK in word for word in words)
        total += len(words)
    return round(marked / total, 3)


def like_cases(model: ECGCLIP, held_out: dict[str, Split]) -> dict[str, float]:
    """Precision at 10 of three ways to search by an ECG, by a shared superclass, on the validation split."""
    split = next(iter(held_out.values()))
    cases = [split.cases[i] for i in split.windows.case]
    classes = np.array([[c in case.annotated for c in SUPERCLASSES.values()] for case in cases])
    patients, ecgs = patient_numbers(cases), embed_windows(model, split.windows)
    scores = {
        "cosine": ecgs @ ecgs.T,
        "ECGCLIP.like": np.stack([model.like(e) for e in ecgs]) @ ecgs.T,
        "ECGCLIP.likeness": model.likeness(ecgs, ecgs),
    }
    has_class = classes.any(1)
    shares_class = classes.astype(int) @ classes.T.astype(int) > 0
    precision = {}
    for name, similarity in scores.items():
        best = np.argsort(-np.where(patients[:, None] == patients, -np.inf, similarity), 1)[:, :10]
        precision[name] = round(float(np.take_along_axis(shares_class, best, 1)[has_class].mean()), 4)
    return precision


def command_line(
    doc: str | None, train: Callable[..., list[str]], table: Callable[..., None], seeds: int, results: str
) -> None:
    """Run `train` or `table` as the command line says; seeds: unless it names them; results: an example of a folder."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("train", "table"))
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("rest", nargs="*", help="train: rows or groups, by default all; table: a folder")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_intermixed_args()
    if args.do == "train":
        sys.exit(1 if train(args.data, args.runs, args.rest, args.seeds, max(1, args.jobs)) else 0)
    elif len(args.rest) != 1:
        parser.error(f"table needs one folder for its results, such as {results}")
    else:
        table(args.data, args.runs, Path(args.rest[0]))


if __name__ == "__main__":
    command_line(__doc__, train, table, 3, "results/ablations")
