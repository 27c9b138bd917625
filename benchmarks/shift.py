"""Whether age and sex help the patients for whom the model is worst.

    python benchmarks/shift.py train $ECGCLIP_DATA runs/shift [--seeds 3]
    python benchmarks/shift.py table $ECGCLIP_DATA runs/shift results/shift

`train` trains the branch over the measurements anew within the shipped model, without and with age and sex as inputs,
everything else being equal: a few minutes a row and seed on one core. `table` writes, of each row, the macro AUROC and
the largest gap of a group (ecgclip/evaluate/groups.py) by age, sex, device and source. Choices are made by
`validation`, not by fold 9 or Challenge 2020.
"""

from __future__ import annotations

import argparse
import copy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablations import by_record, recipe_of

from ecgclip.data.cases import Case
from ecgclip.data.windows import Windows, load_windows
from ecgclip.evaluate.groups import subgroups, worst_groups
from ecgclip.evaluate.metrics import Labels, label_table
from ecgclip.evaluate.results import cases_hash
from ecgclip.evaluate.truth import cases_to_test, choose_labels, patient_numbers, truth_table
from ecgclip.files import code_version, write_json
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.store import load_model
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.processes import cores
from ecgclip.train.batches import Batches
from ecgclip.train.measured import train_measured
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Splits, load_split, windows_cache
from ecgclip.train.validation import embed_windows

# no teacher: its trees would have to be grown for each row, and hold each row to their own opinion
BUDGET = {"epochs": 0, "teacher.share": 0.0, "ecg.members": 4, "measured.epochs": 12}
ROWS: dict[str, dict[str, Any]] = {
    "without age and sex": {},
    "with age and sex": {"ecg.demographics": True, "augment.drop_demographics": 0.3},
}
Set = tuple[list[Case], Windows, Labels, int]  # cases, windows, labels, positives that a label needs


def file_of(runs: Path, row: str, seed: int) -> Path:
    return runs / f"{row.replace(' ', '-')}-{seed}.npz"


def train(data: Path, runs: Path, seeds: int) -> None:
    """Train and score every row with every seed, but those that `runs` has."""
    shipped = load_model()
    recipe = recipe_of(BUDGET, "shift", 0)[0]
    splits = load_split(recipe, data, shipped.kb, validation=False)
    sets = test_sets(shipped, data)
    batches = Batches(recipe, splits, shipped)
    batches.lock(shipped)
    runs.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for row, changes in ROWS.items():
            if not (file := file_of(runs, row, seed)).exists():
                model = trained(shipped, batches, splits, recipe_of(BUDGET | changes, row, seed)[0])
                np.savez_compressed(file, **scores(model, sets))  # type: ignore[arg-type]
                print(f"done: {row}, seed {seed}", flush=True)


def trained(shipped: ECGCLIP, batches: Batches, splits: Splits, recipe: Recipe) -> ECGCLIP:
    """The shipped model with a new branch over the measurements, trained as the recipe says.

    batches : of the same data; they draw for this recipe from now on
    """
    config = replace(shipped.config.ecg, members=recipe.ecg["members"], demographics=recipe.ecg_config.demographics)
    torch.manual_seed(recipe.seed)
    encoder = ECGEncoder(config)
    signal = {k: v for k, v in shipped.ecg.state_dict().items() if not k.startswith("measured.")}
    encoder.load_state_dict(signal, strict=False)
    inputs = np.concatenate([split.windows.measured(0, config.demographics) for split in splits.values()])
    assert encoder.measured is not None
    encoder.measured.fit(torch.from_numpy(inputs))
    model = copy.copy(shipped)
    model._modules = {**shipped._modules, "ecg": encoder}
    model.config = replace(shipped.config, ecg=config)
    batches.recipe = batches.sampler.recipe = recipe
    train_measured(model, batches, recipe)
    return model.eval()


def test_sets(model: ECGCLIP, data: Path) -> dict[str, Set]:
    """What every row is scored on, by name."""
    held_out = load_split(recipe_of(BUDGET, "shift", 0)[0], data, model.kb, validation=True)["ptb-xl"]
    sets: dict[str, tuple[str, list[Case], Windows]] = {"validation": ("ptb-xl", held_out.cases, held_out.windows)}
    for name, dataset, folder, fold in (
        ("fold 9", "ptb-xl", "ptb-xl", 9),
        ("challenge 2020", "challenge-2020", "challenge-2020", None),
    ):
        cases = cases_to_test(model, dataset, data / folder, fold)
        sets[name] = dataset, cases, load_windows(cases, windows_cache(), cores(), variants=1)
    return {
        f"{name}, {words}": (cases, windows, choose_labels(model, dataset, asked, cases, "code"), 5)
        for name, (dataset, cases, windows) in sets.items()
        for words, asked in (("superclasses", "ptb-xl-super"), ("all statements", "annotated"))
        if dataset == "ptb-xl" or asked == "annotated"
    }


def scores(model: ECGCLIP, sets: dict[str, Set]) -> dict[str, np.ndarray]:
    """Similarity (records, labels) by set."""
    found = {}
    for name, (_, windows, labels, _) in sets.items():
        prompts = np.stack([model.concept_vector(concept) for concept in labels.concepts])
        found[name] = (by_record(windows, embed_windows(model, windows))[1] @ prompts.T).astype(np.float32)
    return found


def table(data: Path, runs: Path, out: Path) -> None:
    """Write `out`/results.json: of each set and row the means over the seeds."""
    sets = test_sets(load_model(), data)
    results: dict[str, Any] = {"task": "shift", "rows": ROWS, "sets": {}}
    for name, one in sets.items():
        results["sets"][name] = {}
        for row in ROWS:
            files = sorted(runs.glob(file_of(runs, row, 0).name.replace("-0.npz", "-[0-9].npz")))
            figures = [figures_of(one, np.load(file)[name]) for file in files]
            if figures:
                results["sets"][name][row] = {"seeds": len(files), **mean(figures)}
    cases = {case.path: case for cases, *_ in sets.values() for case in cases}
    results |= {"data_sha256": cases_hash(list(cases.values())), "code_version": code_version()}
    write_json(out / "results.json", results | {"command": " ".join(["python", *sys.argv])})


def figures_of(one: Set, score: np.ndarray) -> dict[str, float]:
    """The macro AUROC of a set, of each group, its gap, and the largest gap of each kind, by name."""
    cases, windows, labels, least = one
    cases = [cases[i] for i in np.unique(windows.case)]
    truth = truth_table(cases, labels)
    rows = subgroups(score, truth, cases, labels, least, 0)
    found = {"macro AUROC": label_table(score, truth, patient_numbers(cases), labels, least, 0)[1]["auroc"][0]}
    for row in rows:
        if row["gap"]:
            found |= {f"{row['by']} {row['group']}": row["auroc"][0]}
            found |= {f"{row['by']} {row['group']}, gap": row["gap"][0]}
    return found | {f"largest gap by {row['by']}": row["gap"][0] for row in worst_groups(rows)}


def mean(figures: list[dict[str, float]]) -> dict[str, list[float]]:
    """The mean of each figure over the seeds, and the lowest and the highest."""
    values = {name: [f[name] for f in figures] for name in figures[0]}
    return {name: [round(float(np.mean(v)), 4), min(v), max(v)] for name, v in values.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["train", "table"])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    if given.step == "train":
        train(given.data, given.runs, given.seeds)
    else:
        table(given.data, given.runs, given.out or parser.error("table needs a folder to write to"))
