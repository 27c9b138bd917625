"""Backbones and tasks of pretraining: what the signal alone teaches in the same time, and what it adds to the rest.

    python benchmarks/backbones.py train $ECGCLIP_DATA runs/backbones [--seeds 1] [--jobs 1] [ROW or GROUP ...]
    python benchmarks/backbones.py table $ECGCLIP_DATA runs/backbones results/backbones

`train` trains and scores the rows of benchmarks/backbones.yaml, except those that runs/backbones has already. `table`
compares each that is there with the first row of its group, on the same records and resamples.

    recipe ─(task, half of the time)─▶ backbone ─locked stage─▶ signal branch ─▶ vectors ─▶ scores, linear probe
                      the shipped measurements' branch, and the criteria, beside it ─────▶ scores
"""

from __future__ import annotations

import copy
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import ablations
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from ablations import Scored, Set, by_record, folder_of, fork, readings_by_record, recipe_of, wait, widen
from changed import changed
from cost import costs
from safetensors.torch import load_file
from unseen import probabilities

from ecgclip.data.windows import Windows
from ecgclip.evaluate.metrics import Labels
from ecgclip.evaluate.probe import SHARES, draw, fit
from ecgclip.evaluate.results import cases_hash
from ecgclip.evaluate.truth import truth_table
from ecgclip.files import code_version, write_json
from ecgclip.knowledge.criteria.readings import Readings
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig
from ecgclip.model.store import load_model
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.processes import cores
from ecgclip.train.clip import train_clip
from ecgclip.train.finish import REFERENCE, weigh_signal
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, Splits, load_split, trained_concepts
from ecgclip.train.validation import encode_windows, validation_auroc

FILE = Path(__file__).with_suffix(".yaml")
PLAN_ONLY = ("step", "task", "task_step")  # keys of a row that are no field of a recipe
KINDS = ("signal", "measured", "criteria")  # the signal alone, with the measurements, and with the criteria, too
FOLD, EIGHT = "fold 9, superclasses", "fold 9, eight hidden"
DRAWS = 3  # of each share of a probe's training labels


# --- rows -------------------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """How a row is trained."""

    recipe: Recipe
    pretraining: dict[str, Any]  # its ecg_pretraining, {}: none


def settings() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


def every_row() -> dict[str, dict[str, Any]]:
    """Row → what its line of the file says."""
    return {row: options for rows in settings()["groups"].values() for row, options in rows.items()}


def epochs(minutes: float, epoch_s: float, step: float) -> int:
    """As many as fit best into so many minutes, one at least; step: what one costs, over the conv-transformer's."""
    return max(1, round(60 * minutes / (epoch_s * step)))


def plan_of(row: str, seed: int) -> Plan:
    """The recipe of a row, with the epochs that it has the time for."""
    stored, options = settings(), every_row()[row]
    task = options.get("task")
    minutes = stored["minutes"] / 2 if task else stored["minutes"]
    changes = stored["budget"] | {k: v for k, v in options.items() if k not in PLAN_ONLY}
    changes |= {"unseen": stored["hidden"], "locked.epochs": epochs(minutes, stored["epoch_s"], options["step"])}
    recipe, _ = recipe_of(changes, row, seed)
    if not task:
        return Plan(recipe, {})
    many = epochs(minutes, stored["epoch_s"], options["task_step"])
    return Plan(recipe, {"task": task, "epochs": many, **stored["pretraining"]})


def chosen_rows(wanted: list[str]) -> list[str]:
    """The rows that are named, by themselves or by their group; without a name all. Exits for one that is not there."""
    groups = settings()["groups"]
    if unknown := set(wanted) - groups.keys() - every_row().keys():
        sys.exit(f"{FILE.name} has no row or group {sorted(unknown)[0]!r}")
    named = {row for group, rows in groups.items() for row in rows if not wanted or {row, group} & set(wanted)}
    return [row for row in every_row() if row in named]


def train(data: Path, out: Path, wanted: list[str], seeds: int, jobs: int) -> list[str]:
    """Train and score rows by seed, in `jobs` processes at a time; the names of what failed."""
    rows, running, failed = chosen_rows(wanted), {}, []
    if not (text_folder(out) / "text.json").exists():
        running[fork(write_shipped_text, out)] = "text encoder"
        failed += wait(running, 0)
    for seed in range(seeds):
        for row in rows:
            if not (folder_of(out, row, seed) / "row.json").exists():
                failed += wait(running, jobs - 1)
                threads = max(1, cores() // jobs)
                running[fork(train_row, data, out, row, seed, threads)] = f"{row}, seed {seed}"
    return failed + wait(running, 0)


def text_folder(out: Path) -> Path:
    return out / "shipped-text"


def write_shipped_text(out: Path) -> None:
    ablations.write_text(load_model(), text_folder(out))


def train_row(data: Path, out: Path, row: str, seed: int, threads: int) -> None:
    """Train a row, by its task first if it has one, and score it; what is there already is not done again."""
    folder, plan = folder_of(out, row, seed), plan_of(row, seed)
    if not (folder / "model/config.json").exists():
        recipe, begin = plan.recipe, {}
        if plan.pretraining:
            recipe = replace(recipe, ecg_pretraining=plan.pretraining)
            begin = {"ecg": pretrain(recipe, data, folder / "ecg", threads)}
        with mock.patch("ecgclip.train.clip.finish", save_signal):
            train_clip(recipe, data, text_folder(out), folder, threads, **begin)
    score(data, out, folder, plan)


def save_signal(
    model: ECGCLIP,
    recipe: Recipe,
    splits: Splits,
    held_out: Splits,
    data: Path,
    out: Path,
    seconds: float,
    version: str,
    *pretrained: Any,
) -> None:
    """What a row needs of `finish`: not the calibration, which takes minutes, as it has the shipped one."""
    concepts = sorted(trained_concepts(splits) & model.kb.concepts.keys())
    training = {"recipe": asdict(recipe), "code_version": version, "seconds": round(seconds), "concepts": concepts}
    model.eval().round_matrices()
    model.config = replace(model.config, training=training)
    model.save(out / "model")


def pretrain(recipe: Recipe, data: Path, folder: Path, threads: int) -> Path:
    """Train the backbone by the recipe's task, and note how long it took."""
    from ecgclip.train.ecg import train_ecg

    if not (folder / "seconds.json").exists():
        started = time.time()
        train_ecg(recipe, data, folder, threads)
        write_json(folder / "seconds.json", round(time.time() - started))
    return folder


# --- what is scored ---------------------------------------------------------------------------------------------------


def every_set(shipped: ECGCLIP, data: Path, runs: Path) -> dict[str, Set]:
    """What every row is scored on, by name; without the hidden conditions, which are a set of their own."""
    sets, hidden = ablations.whole_sets(shipped, data), settings()["hidden"]
    families = set(shipped.kb.concepts) - shipped.kb.without(hidden).concepts.keys()
    cases, windows, everything, least = sets["fold 9, all statements"]
    chosen = {name: (*s[:2], without(s[2], families), s[3]) for name, s in sets.items()}
    chosen[EIGHT] = (cases, windows, without(everything, set(everything.concepts) - set(hidden)), least)
    five = chosen[FOLD][2]
    return chosen | {name: (cases, part, five, least) for name, part in changed(windows, data, runs).items()}


def without(labels: Labels, concepts: set[str]) -> Labels:
    """The labels but for those of some concepts."""
    kept = [j for j, concept in enumerate(labels.concepts) if concept not in concepts]
    classes = tuple(labels.classes[j] for j in kept) if labels.classes else ()
    return replace(
        labels, names=[labels.names[j] for j in kept], concepts=[labels.concepts[j] for j in kept], classes=classes
    )


def columns(sets: dict[str, Set]) -> dict[str, Set]:
    """What a row has a score for: each set by each of KINDS, and fold 9 by each linear probe."""
    named = {f"{kind}: {name}": s for name, s in sets.items() for kind in KINDS if name != EIGHT or kind == "signal"}
    return named | {f"{probe_name(share)}, draw {i}": sets[FOLD] for share in SHARES for i in range(draws_of(share))}


def probe_name(share: float) -> str:
    return f"probe: {share:.0%} of the labels"


def draws_of(share: float) -> int:
    return 1 if share == 1 else DRAWS  # there is one way to draw all


# --- scoring ----------------------------------------------------------------------------------------------------------


def score(data: Path, out: Path, folder: Path, plan: Plan) -> None:
    """Write beside a trained row what `table` needs: scores (records, labels) by column, and row.json."""
    started, shipped = time.time(), load_model()
    sets = every_set(shipped, data, out)
    held_out = load_split(plan.recipe, data, shipped.kb, validation=True)
    training = load_split(replace(plan.recipe, unseen=[]), data, shipped.kb, validation=False)[plan.recipe.main]
    row = Row.load(shipped, folder / "model")
    weighed = weigh_signal(row.beside, held_out)
    validation = round(validation_auroc(row.alone, held_out, measured=False), 4)
    of_training = row.signal(training.windows)
    chosen = np.random.default_rng(plan.recipe.seed).permutation(len(of_training))[:REFERENCE]
    row.beside.reference = row.with_measurements(of_training, training.windows)[chosen]
    scores, of_fold = set_scores(row, sets)
    scores |= probe_scores(training, of_training, of_fold, sets[FOLD][2])
    np.savez_compressed(folder / "scores.npz", **{k: v.astype(np.float32) for k, v in scores.items()})
    seconds = folder / "ecg/seconds.json"
    write_json(
        folder / "row.json",
        {k: row.training[k] for k in ("seconds", "code_version")}
        | {"pretraining_seconds": json.loads(seconds.read_text()) if seconds.exists() else 0}
        | {"records_sha256": ablations.records_hash(sets), "validation": validation}
        | {"validation_measured": round(weighed["auroc"], 4), "signal_weight": float(row.beside.ecg.signal_weight)}
        | {"epochs": plan.recipe.locked["epochs"], "pretraining_epochs": plan.pretraining.get("epochs", 0)}
        | {"scoring_seconds": round(time.time() - started)},
    )


class Row:
    """A trained row: its signal branch, alone and in the place of the shipped model's.

    Attributes
    ----------
    beside
        The shipped model with the row's signal branch.
    alone
        The same encoder, asked in the way of what the row was trained on.
    training
        What the row's config says of its training.
    """

    def __init__(self, beside: ECGCLIP, training: dict[str, Any]):
        self.beside, self.training = beside, training
        self.alone = copy.copy(beside)
        known = beside.config.training | {"concepts": training["concepts"]}
        self.alone.config = replace(beside.config, training=known)

    @classmethod
    def load(cls, shipped: ECGCLIP, folder: Path) -> Row:
        """Put the signal branch in `folder` into the shipped model."""
        config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text()))
        branch = shipped.config.ecg
        beside = copy.copy(shipped)
        beside.config = replace(
            shipped.config, ecg=replace(config.ecg, measured=branch.measured, members=branch.members)
        )
        encoder = ECGEncoder(beside.config.ecg)
        state = load_file(folder / "model.safetensors")
        signal = {k.removeprefix("ecg."): v for k, v in state.items() if k.startswith("ecg.")}
        measured = {k: v for k, v in shipped.ecg.state_dict().items() if k.startswith("measured.")}
        encoder.load_state_dict(signal | measured)
        beside._modules = {**shipped._modules, "ecg": encoder.eval()}
        return cls(beside, config.training)

    def signal(self, windows: Windows) -> np.ndarray:
        """The signal's vectors of windows, (n, dim)."""
        return encode_windows(self.beside, windows, measured=False).rhythm.numpy()

    @torch.inference_mode()
    def with_measurements(self, signal: np.ndarray, windows: Windows) -> np.ndarray:
        """The same vectors with the measurements of the windows, as the encoder adds them."""
        ecg = self.beside.ecg
        assert ecg.measured is not None
        measured = ecg.measured(torch.from_numpy(np.array(windows.features[:, 0])))
        return F.normalize(measured + ecg.signal_weight * torch.from_numpy(signal), dim=-1).numpy()


class Vectors(NamedTuple):
    """Of the records of a set: vectors (records, dim), of the signal and with the measurements, and readings."""

    signal: np.ndarray
    measured: np.ndarray
    readings: Readings

    @classmethod
    def of(cls, row: Row, scored: Set) -> Vectors:
        cases, windows = [scored[0][i] for i in np.unique(scored[1].case)], scored[1]
        signal = row.signal(windows)
        measured = by_record(windows, row.with_measurements(signal, windows))[1]
        return cls(by_record(windows, signal)[1], measured, readings_by_record(windows, cases))


def set_scores(row: Row, sets: dict[str, Set]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Column → scores (records, labels); and the signal's vectors (records, dim) of fold 9."""
    scores: dict[str, np.ndarray] = {}
    vectors: dict[int, Vectors] = {}  # by the windows, which sets share
    for name, scored in sets.items():
        windows, labels = scored[1], scored[2]
        if id(windows) not in vectors:
            vectors[id(windows)] = Vectors.of(row, scored)
        of_set = vectors[id(windows)]
        scores[f"signal: {name}"] = of_set.signal @ prompts(row.alone, labels)
        if name != EIGHT:  # the shipped branch knew them by name
            scores[f"measured: {name}"] = of_set.measured @ prompts(row.beside, labels)
            scores[f"criteria: {name}"] = probabilities(row.beside, of_set.measured, of_set.readings, labels).both
    return scores, vectors[id(sets[FOLD][1])].signal


def prompts(model: ECGCLIP, labels: Labels) -> np.ndarray:
    """(dim, labels)."""
    return np.stack([model.concept_vector(concept) for concept in labels.concepts]).T


def probe_scores(training: Split, of_training: np.ndarray, of_fold: np.ndarray, labels: Labels) -> dict[str, Any]:
    """Column → log odds (records of fold 9, labels) of a linear probe of the signal's vectors.

    The draws of training records are the same for every row.
    """
    records, vectors = by_record(training.windows, of_training)
    truth = truth_table([training.cases[i] for i in records], labels)
    scores = {}
    for share in SHARES:
        for i, rows in enumerate(draw(len(truth), share, DRAWS, 0)):
            scores[f"{probe_name(share)}, draw {i}"] = fit(vectors[rows], truth[rows], of_fold)
    return scores


# --- table ------------------------------------------------------------------------------------------------------------


def table(data: Path, runs: Path, out: Path) -> None:
    """Compare all rows that were trained, group by group, and write `out`/results.json.

    A group without a trained row keeps the figures that stand there.
    """
    torch.set_num_threads(cores())
    shipped, stored, said = load_model(), out / "results.json", settings()
    configs = {row: plan_of(row, 0).recipe.ecg_config for row in said["groups"]["backbones"]}
    sets = every_set(shipped, data, runs)
    scored, own_hash = Scored(columns(sets)), ablations.records_hash(sets)
    results: dict[str, Any] = {"task": "backbones", "groups": {}}
    results["groups"] |= json.loads(stored.read_text())["groups"] if stored.exists() else {}
    for group, rows in said["groups"].items():
        if entries := group_rows(scored, own_hash, list(rows), runs):
            results["groups"][group] = {"rows": entries}
    results |= {
        "costs": costs(configs, runs / "cost.json"),
        **{key: said[key] for key in ("minutes", "epoch_s", "hidden")},
        "weights_sha256": shipped.weights_sha256,
        "data_sha256": cases_hash([c for s in sets.values() for c in s[0]]),
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
    }
    write_json(stored, results)


def group_rows(scored: Scored, records_sha256: str, rows: list[str], runs: Path) -> list[dict[str, Any]]:
    """The entries of a group's trained rows; differences are from its first row, if that is trained."""
    entries: list[dict[str, Any]] = []
    base: list[dict] = []
    for row in rows:
        folders = [f for seed in range(10) if ((f := folder_of(runs, row, seed)) / "row.json").exists()]
        if not folders:
            continue
        summaries = [json.loads((f / "row.json").read_text()) for f in folders]
        if any(summary["records_sha256"] != records_sha256 for summary in summaries):
            sys.exit(f"{row}: was scored on other records or labels than now; remove its row.json and train again")
        scores = [dict(np.load(f / "scores.npz")) for f in folders]
        base = scores if row == rows[0] else base
        entry = scored.row(row, scores, base or scores, summaries)
        extra = ("validation_measured", "signal_weight", "epochs", "pretraining_epochs", "pretraining_seconds")
        entries.append(merged(entry) | {key: [summary[key] for summary in summaries] for key in extra})
    if entries and base:
        widen(entries, [name for name in entries[0] if f"{name}, less base" in entries[-1]])
    return entries


def merged(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry of a row with one figure for all draws of a probe: their mean."""
    rest = {key: value for key, value in entry.items() if not key.startswith("probe: ")}
    for share in SHARES:
        for ending in ("", ", less base"):
            draws = [entry.get(f"{probe_name(share)}, draw {i}{ending}") for i in range(draws_of(share))]
            if None not in draws:
                rest[f"{probe_name(share)}{ending}"] = np.mean(draws, 0).round(4).tolist()
    return rest


if __name__ == "__main__":
    ablations.command_line(__doc__, train, table, 1, "results/backbones")
