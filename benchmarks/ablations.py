"""What each part is worth:  python benchmarks/ablations.py train $ECGCLIP_DATA runs/ablations [--seeds 3] [--jobs 1] [ROW or GROUP ...]
                             python benchmarks/ablations.py table $ECGCLIP_DATA runs/ablations results/ablations

`train` trains and scores the rows of benchmarks/ablations.yaml, leaving out what runs/ablations has already; `table` compares them
with the first of their group on the same records and resamples. Fold 9 and the sets out of domain choose nothing here: `validation` is for that.
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
from ecgclip.index.workers import cores
from ecgclip.measure.measurement import measure
from ecgclip.measure.vector import features
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model
from ecgclip.networks import encoder, heads
from ecgclip.networks.heads import BeatHead
from ecgclip.peaks import r_peaks
from ecgclip.prepare import SAMPLING_RATE
from ecgclip.train import wording as pairs
from ecgclip.train.clip import train_clip
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, load_split, spoken_findings, windows_cache
from ecgclip.train.text import train_text
from ecgclip.train.validation import embed_windows, validation_auroc
from ecgclip.train.wording import targets

ROOT = Path(__file__).parent.parent
FILE = Path(__file__).with_suffix(".yaml")


# --- what a recipe cannot say -----------------------------------------------------------------------------------------


def learned_queries() -> None:
    """MELP's beats: the beat head is told of no R peak, so that its learned queries stand in."""
    forward = BeatHead.forward
    BeatHead.forward = lambda self, tokens, mask, peaks: forward(self, tokens, mask, peaks * torch.nan)


def no_intervals() -> None:
    """Neither a beat nor the rhythm knows how far apart the beats are."""
    heads.rr_features = lambda peaks, known=heads.rr_features: torch.zeros_like(known(peaks))
    encoder.rr_statistics = lambda peaks, known=encoder.rr_statistics: torch.zeros_like(known(peaks))


def plain_targets() -> None:
    """CLIP's targets: the one right text of an ECG is its own."""
    write, count = pairs.Composer.write, iter(range(sys.maxsize))
    pairs.Composer.write = lambda self, *known: (write(self, *known)[0], str(next(count)))


def measured_sentences(most: str) -> None:
    """At most so many in a composed text."""
    pairs.MEASURED = int(most)


# --- training ---------------------------------------------------------------------------------------------------------


def groups() -> dict[str, dict[str, dict[str, Any]]]:
    """Group → its rows' changes of recipes/default.yaml, the first row being its base."""
    stored = yaml.safe_load(FILE.read_text())["groups"]
    return {name: {row: g["budget"] | changes for row, changes in g["rows"].items()} for name, g in stored.items()}


def recipe_of(changes: dict[str, Any], row: str, seed: int) -> tuple[Recipe, str]:
    """A row's recipe and the call of its patch."""
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
    """Text encoders, then rows by seed, so many `jobs` at a time; → what failed."""
    known = {row: (group, changes) for group, rows in groups().items() for row, changes in rows.items()}
    if strange := set(wanted) - known.keys() - groups().keys():
        sys.exit(f"{FILE.name} has no row or group {sorted(strange)[0]!r}")
    rows = {row: changes for row, (group, changes) in known.items() if not wanted or {row, group} & set(wanted)}
    running: dict[int, str] = {}
    failed: list[str] = []
    texts = {text_of(recipe, out): recipe for recipe in (recipe_of(c, r, 0)[0] for r, (_, c) in known.items())}
    for folder in {text_of(recipe_of(c, r, 0)[0], out) for r, c in rows.items()}:
        if not (folder / "text.json").exists():
            failed += wait(running, jobs - 1)
            running[apart(make_text, data, texts[folder], folder)] = str(folder)
    failed += wait(running, 0)
    for seed in range(seeds):
        for row, changes in rows.items():
            folder = folder_of(out, row, seed)
            if not (folder / "row.json").exists():
                failed += wait(running, jobs - 1)
                threads = max(1, cores() // jobs)
                running[apart(train_row, data, out, folder, changes, row, seed, threads)] = f"{row}, seed {seed}"
    return failed + wait(running, 0)


def wait(running: dict[int, str], most: int) -> list[str]:
    """Until no more than `most` of the running processes are left; → the names of those that failed."""
    failed = []
    while len(running) > most:
        child, status = os.wait()
        name = running.pop(child)
        failed += [name] * bool(status)
        print(f"{'failed' if status else 'done'}: {name}", flush=True)
    return failed


def apart(do: Callable[..., None], *given: Any) -> int:
    """Call it in a process of its own, with which patches and threads end; → its number."""
    child = os.fork()
    if child:
        return child
    try:
        do(*given)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def text_of(recipe: Recipe, out: Path) -> Path:
    """The folder of the text encoder that a row begins with; most share theirs."""
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
        train_clip(recipe, data, text_of(recipe, out), folder, threads)
    score(data, folder, row)


def write_text(model: ECGCLIP, folder: Path) -> None:
    """The text encoder of a model, as `ecgclip train text` would have left it."""
    folder.mkdir(parents=True, exist_ok=True)
    model.tokenizer.save(folder)
    save_file({k: v.contiguous() for k, v in model.build_text().state_dict().items()}, folder / "text.safetensors")
    (folder / "text.json").write_text(json.dumps(asdict(model.config.text)))


# --- measuring --------------------------------------------------------------------------------------------------------


def one_lead(windows: Windows, lead: str) -> Windows:
    """The same windows as a device with one lead would have recorded them."""
    kept = np.zeros(12, bool)
    kept[LEADS.index(lead)] = True
    peaks, measured = np.full_like(windows.r_peaks, np.nan), windows.features.copy()
    for i, (signal, mask, length) in enumerate(zip(windows.signal, windows.mask, windows.length, strict=True)):
        signal = signal[:, :length].astype(np.float32) * kept[:, None]
        at = r_peaks(signal, mask & kept)[: peaks.shape[1]]
        peaks[i, : len(at)] = at / SAMPLING_RATE
        measured[i, 0] = features(measure(signal, mask & kept, at))
    return replace(windows, mask=windows.mask & kept, r_peaks=peaks, features=measured)


Set = tuple[list[Case], Windows, Labels, int]


def test_sets(model: ECGCLIP, data: Path) -> dict[str, Set]:
    """Name → cases, windows, labels, positives that a label needs."""

    def loaded(cases: list[Case]) -> tuple[list[Case], Windows]:
        return cases, load_windows(cases, windows_cache(), cores(), variants=1)

    def labels(dataset: str, label_set: str, cases: list[Case]) -> Labels:
        return choose_labels(model, dataset, label_set, cases, "code")

    fold = loaded(cases_to_test(model, "ptb-xl", data / "ptb-xl", 9))
    cpsc = loaded(cases_to_test(model, "cpsc2018", data / "challenge-2020"))
    rest = loaded(cases_to_test(model, "challenge-2020", data / "challenge-2020"))
    hand = loaded(cases_to_test(model, "challenge-2017", data / "challenge-2017"))
    five = labels("ptb-xl", "superclass", fold[0])
    return {
        "fold 9, superclasses": (*fold, five, 5),
        "fold 9, all statements": (*fold, labels("ptb-xl", "all", fold[0]), 5),
        "CPSC2018": (*cpsc, labels("cpsc2018", "cpsc2018", cpsc[0]), 4),
        "other challenge 2020": (*rest, labels("challenge-2020", "annotated", rest[0]), 4),
        "challenge 2017": (*hand, labels("challenge-2017", "cinc2017", hand[0]), 5),
        "fold 9, lead I": (fold[0], one_lead(fold[1], "I"), five, 5),
    }


def by_record(windows: Windows, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the cases that were read, and the mean (cases, dim) over the windows of each."""
    cases, row = np.unique(windows.case, return_inverse=True)
    total = np.zeros((len(cases), vectors.shape[1]))
    np.add.at(total, row, vectors)
    return cases, total / np.bincount(row)[:, None]


ALONE_OF = "with the measurements and a teacher"  # the row of which the measurements are scored without the signal too


def score(data: Path, folder: Path, row: str) -> None:
    """Leave beside a trained row all that `table` needs of it: similarities (records, labels) by set, and row.json."""
    shipped, model = load_model(), load_model(folder / "model", ROOT / "knowledge_base")
    sets = test_sets(shipped, data)
    held_out = load_split(Recipe.load(ROOT / "recipes/default.yaml"), data, shipped.kb, validation=True)
    facts: dict[str, Any] = {k: model.config.training[k] for k in ("seconds", "code_version")}
    facts |= {"records_sha256": records_hash(sets), "validation": round(validation_auroc(model, held_out), 4)}
    if row in groups()["texts"]:
        facts["share_of_words"] = measured_share(held_out, shipped)
    np.savez_compressed(folder / "scores.npz", **measured_sets(model, sets))
    if row == ALONE_OF:
        np.savez_compressed(folder / "alone.npz", **measured_sets(model, sets, alone=True))
    write_json(folder / "row.json", facts)


def records_hash(sets: dict[str, Set]) -> str:
    """Of the records and labels that the columns of scores.npz stand for."""
    asked_for = json.dumps([(name, s[2].names, s[2].concepts) for name, s in sets.items()])
    return cases_hash([c for s in sets.values() for c in s[0]]) + hashlib.sha256(asked_for.encode()).hexdigest()[:8]


def measured_sets(model: ECGCLIP, sets: dict[str, Set], alone: bool = False) -> dict[str, np.ndarray]:
    """Name of a set → similarity (records, labels); alone: of the measurements without the signal."""
    scores, done = {}, {}
    for name, (_, windows, labels, _) in sets.items():
        if id(windows) not in done:
            if alone:
                with torch.no_grad():
                    vectors = model.ecg.measured(torch.from_numpy(windows.features[:, 0].copy())).numpy()
            else:
                vectors = embed_windows(model, windows)
            done[id(windows)] = by_record(windows, vectors)[1]
        prompts = np.stack([model.concept_vector(concept) for concept in labels.concepts])
        scores[name] = (done[id(windows)] @ prompts.T).astype(np.float32)
    return scores


Row = dict[str, Any]


def table(data: Path, runs: Path, out: Path) -> None:
    torch.set_num_threads(cores())
    shipped = load_model()
    sets = test_sets(shipped, data)
    truth = {name: truth_table([s[0][i] for i in np.unique(s[1].case)], s[2]) for name, s in sets.items()}
    people = {name: patient_numbers([s[0][i] for i in np.unique(s[1].case)]) for name, s in sets.items()}
    held_out = load_split(Recipe.load(ROOT / "recipes/default.yaml"), data, shipped.kb, validation=True)

    def row_of(row: str, scores: list[dict], base: list[dict], facts: list[dict]) -> Row:
        """Of each set, each seed's AUROC, and each seed's paired difference from the base with its interval by patient."""
        entry: Row = {"row": row, "seeds": len(scores)}
        entry |= {key: [f[key] for f in facts] for key in ("seconds", "code_version", "validation")}
        if facts and "share_of_words" in facts[0]:
            entry["share_of_words"] = facts[0]["share_of_words"]
        for name, (_, _, labels, least) in sets.items():
            figures = [resample(s[name], truth[name], people[name], 0) for s in scores]
            entry[name] = [label_summary(f, truth[name], labels, least)[1]["auroc"][0] for f in figures]
            if scores is not base:
                entry[f"{name}, less base"] = [
                    difference(a[name], b[name], truth[name], people[name], labels, least, 0)[1]["auroc"]
                    for a, b in zip(base, scores, strict=False)
                ]
        print(row, entry["validation"], {n: entry[n] for n in sets}, flush=True)
        return entry

    records = records_hash(sets)
    results: dict[str, Any] = {"task": "ablations", "groups": {}}
    for group, rows in groups().items():
        entries: list[Row] = []
        base: list[dict] = []
        for row in rows:
            found = [p for seed in range(10) if ((p := folder_of(runs, row, seed)) / "row.json").exists()]
            if not found:
                continue
            facts = [json.loads((p / "row.json").read_text()) for p in found]
            if any(f["records_sha256"] != records for f in facts):
                sys.exit(f"{row}: was scored on other records or labels than now; remove its row.json and train again")
            scores = [dict(np.load(p / "scores.npz")) for p in found]
            base = base or scores
            entries.append(row_of(row, scores, base, facts))
            if row == ALONE_OF:
                alone = [dict(np.load(p / "alone.npz")) for p in found]
                entries.append(row_of("the measurements of that alone", alone, base, []))
        widen(entries, list(sets))
        results["groups"][group] = {"changes": rows, "rows": entries}
    results["like_cases"] = like_cases(shipped, held_out)
    results |= {
        "weights_sha256": shipped.weights_sha256,
        "data_sha256": cases_hash([c for s in sets.values() for c in s[0]]),
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
    }
    write_json(out / "results.json", results)


def widen(rows: list[Row], sets: list[str]) -> None:
    """Of the differences from the base, make one [mean, low, high] that answers for the seeds as well as for the patients.

    A few seeds tell little of a row's own spread, so the variance between seeds is that of all rows of the group together.
    """
    for name in sets:
        given = [np.array(row[name]) for row in rows if len(row[name]) > 1]
        freedom = sum(len(v) - 1 for v in given)
        seeds = sum(((v - v.mean()) ** 2).sum() for v in given) / freedom if freedom else np.nan
        for row in (r for r in rows if f"{name}, less base" in r):
            low, high = np.mean(row[f"{name}, less base"], 0)[1:]
            mean = np.mean(row[name]) - np.mean(rows[0][name])
            luck = t.ppf(0.975, freedom) * np.sqrt(seeds * (1 / len(row[name]) + 1 / len(rows[0][name])))
            half = np.hypot((high - low) / 2, luck)
            ends = [mean - half, mean + half] if freedom else [np.nan, np.nan]
            row[f"{name}, less base"] = [None if np.isnan(x) else round(float(x), 4) for x in (mean, *ends)]


MARK = "\N{WORD JOINER}"  # on each word of a measured sentence


class Marked(pairs.Wording):
    def draw(self, *given, **how) -> str:
        return " ".join(word + MARK for word in super().draw(*given, **how).split())


def measured_share(held_out: dict[str, Split], model: ECGCLIP) -> float:
    """Of the words in a training's texts for ECGs, the part in measured sentences, counted on the validation split."""
    split = next(iter(held_out.values()))
    concepts = tuple(model.kb.concepts)
    truth = targets(split.cases, split.windows, concepts)
    composer = pairs.Composer(model.kb, spoken_findings(model.kb), concepts)
    counted = [0, 0]
    composer.findings = {key: Marked(w.said, w.denied) for key, w in composer.findings.items()}
    for i, number in enumerate(split.windows.case):
        case = split.cases[number]
        present = [c for c, there in zip(concepts, truth[i] == 1, strict=True) if there and c in case.statements]
        found = [
            k for k, there in zip(split.windows.finding_keys, split.windows.findings[i] == 1, strict=True) if there
        ]
        found = [k for k in found if k in composer.findings]
        rng = np.random.default_rng(i)
        words = composer.write(case, present, found, rng)[0].split()
        counted[0] += sum(MARK in w for w in words)
        counted[1] += len(words)
    return round(counted[0] / counted[1], 3)


def like_cases(model: ECGCLIP, held_out: dict[str, Split]) -> dict[str, float]:
    """Precision at 10 by a shared superclass, on the validation split, of three ways to search by an ECG."""
    split = next(iter(held_out.values()))
    cases = [split.cases[i] for i in split.windows.case]
    classes = np.array([[c in case.annotated for c in SUPERCLASSES.values()] for case in cases])
    people, ecgs = patient_numbers(cases), embed_windows(model, split.windows)
    scores = {
        "cosine": ecgs @ ecgs.T,
        "ECGCLIP.like": np.stack([model.like(e) for e in ecgs]) @ ecgs.T,
        "ECGCLIP.likeness": model.likeness(ecgs, ecgs),
    }
    asks = classes.any(1)
    shares = classes.astype(int) @ classes.T.astype(int) > 0
    out = {}
    for name, score in scores.items():
        best = np.argsort(-np.where(people[:, None] == people, -np.inf, score), 1)[:, :10]
        out[name] = round(float(np.take_along_axis(shares, best, 1)[asks].mean()), 4)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("train", "table"))
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_intermixed_args()
    if given.do == "train":
        sys.exit(1 if train(given.data, given.runs, given.rest, given.seeds, max(1, given.jobs)) else 0)
    elif len(given.rest) != 1:
        parser.error("table needs one folder for its results, such as results/ablations")
    else:
        table(given.data, given.runs, Path(given.rest[0]))


if __name__ == "__main__":
    main()
