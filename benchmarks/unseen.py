"""What zero-shot means: every label scored by a model that never heard of it.

    python benchmarks/unseen.py $ECGCLIP_DATA runs/unseen results/unseen
                                [--jobs 1] [--as-trained] [--into runs/clip/model]

All statements of PTB-XL's training folds, and all labels of the sets that are scored, are divided into four groups. For
each group the whole of recipes/default.yaml is trained without it, tokenizer and text encoder too: no text and no label
of that training names one of its conditions, a narrower one or a namesake. They share a pretrained backbone, as that
saw signals without labels. What runs/unseen has already is not trained again, and an interrupted training goes on.

Then, on the validation split alone, each condition is asked of the model that never heard of it. That gives the best
`enrich_untrained` for prompts/templates.yaml, and for untrained conditions the curve, and how it mixes with the
criteria, whose weights are fitted without the group, too. With --into, a model's config.json gets what was fitted, and
its own calibration is fitted again. Last come the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from ablations import ROOT, Set, by_record, fork, readings_by_record, test_sets, wait

from ecgclip.data.cases import Case
from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.data.windows import Windows
from ecgclip.evaluate.bootstrap import interval
from ecgclip.evaluate.metrics import (
    Figures,
    Labels,
    difference,
    expected_calibration_error,
    label_summary,
    mean_figures,
    resample,
)
from ecgclip.evaluate.results import cases_hash
from ecgclip.evaluate.truth import patient_numbers, source_trained, truth_table
from ecgclip.files import code_version, write_atomic, write_json
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria import Judge, Readings
from ecgclip.model.calibration import Calibration, Witnesses
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.passages import DENIAL
from ecgclip.model.prompts import prompt_settings
from ecgclip.model.scoring import Probabilities
from ecgclip.model.store import load_model
from ecgclip.processes import cores
from ecgclip.train import calibrate
from ecgclip.train.calibrate import Examples
from ecgclip.train.clip import train_clip
from ecgclip.train.ecg import train_ecg
from ecgclip.train.finish import calibrate_model
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, Splits, forget, load_split
from ecgclip.train.targets import targets
from ecgclip.train.text import train_text
from ecgclip.train.validation import embed_windows
from ecgclip.train.witnesses import Simulated, all_real_evidences, fit_criteria

GROUPS = 4
PROMPTS = ("abbreviation", "bare name", "name in templates", "criteria only", "all names and reports", "knowledge base")
# Ways in which a label is scored: by the vector of one of PROMPTS, by the measured criteria, and by both together
VECTORS = {"bare name": "bare name", "all names and reports": "all names and reports", "vector": "knowledge base"}
ASKED = (*VECTORS, "criteria", "knowledge base")
SETS = {  # of ablations.test_sets → the data set
    "fold 9, superclasses": "ptb-xl",
    "fold 9, all statements": "ptb-xl",
    "CPSC2018": "cpsc2018",
    "other challenge 2020": "challenge-2020",
}
MIN_CASES = 3  # validation windows that have a condition, and that lack it, for it to count in choosing the shares
RARE = (1.0, 0.2, 0.1, 0.05, 0.03, 0.02)  # tried: at most this share of the training ECGs has a hidden condition
CRITERIA = {"criterion": 1.0, "criteria": 1.0}
SHARES: list[dict[str, float]] = [  # tried for the prompt of a condition that training never had
    {"name": 1.0},
    {"report": 1.0},
    {"criteria": 1.0},
    {"criterion": 1.0},
    {"criterion": 1.0, "criteria": 1.0},
    {"criterion": 1.0, "report": 1.0},
    {"criterion": 1.0, "criteria": 1.0, "report": 1.0},
    {"criterion": 1.0, "criteria": 1.0, "report": 1.0, "definition": 1.0},
]


# --- four groups ------------------------------------------------------------------------------------------------------


def families(kb: KnowledgeBase, concepts: Collection[str]) -> list[set[str]]:
    """Concepts that can only be hidden together: where one goes, `KnowledgeBase.without` takes the others too."""
    disjoint: list[set[str]] = []
    for concept in sorted(concepts):
        family = set(concepts) - kb.without([concept]).concepts.keys()
        disjoint, joined = [f for f in disjoint if not f & family], [f for f in disjoint if f & family]
        disjoint.append(family.union(*joined))
    return disjoint


def balanced(families: Sequence[Collection[str]], positives: Counter[str], parts: int = GROUPS) -> list[list[str]]:
    """Groups of about equal shares of the concepts and positives: the largest family goes first, to the smallest."""
    concepts, total = sum(map(len, families)), max(1, positives.total())

    def size(family: Collection[str]) -> float:
        return len(family) / concepts + sum(positives[c] for c in family) / total

    groups: list[list[str]] = [[] for _ in range(parts)]
    for family in sorted(families, key=lambda f: (-size(f), min(f))):
        min(groups, key=size).extend(family)
    return [sorted(group) for group in groups]


# --- a training without each ------------------------------------------------------------------------------------------


def train(recipe: Recipe, data: Path, runs: Path, groups: list[list[str]], jobs: int) -> list[str]:
    """Train what is not there yet, in `jobs` processes at a time; the names of what failed."""
    running: dict[int, str] = {}
    failed: list[str] = []
    if recipe.ecg_pretraining and not (runs / "ecg/ecg.json").exists():
        running[fork(train_ecg, recipe, data, runs / "ecg", cores())] = str(runs / "ecg")
        failed += wait(running, 0)
    for number, group in enumerate(groups, 1):
        folder = runs / str(number)
        if not (folder / "model/config.json").exists():
            failed += wait(running, jobs - 1)
            plan = replace(recipe, name=f"without group {number}", unseen=group)
            running[fork(train_one, plan, data, folder, max(1, cores() // jobs))] = str(folder)
    return failed + wait(running, 0)


def trained_groups(runs: Path) -> list[list[str]]:
    """The groups that trainings were kept from, whatever the knowledge base says by now; empty where there is none."""
    files = [runs / f"{i}/model/config.json" for i in range(1, GROUPS + 1)]
    return [json.loads(f.read_text())["training"]["recipe"]["unseen"] if f.exists() else [] for f in files]


def train_one(recipe: Recipe, data: Path, folder: Path, threads: int) -> None:
    if not (folder / "text/text.json").exists():
        train_text(recipe, data, folder / "text", threads)
    ecg = folder.parent / "ecg" if recipe.ecg_pretraining else None
    train_clip(recipe, data, folder / "text", folder, threads, ecg)


def load_unseen(folder: Path, group: list[str]) -> ECGCLIP:
    """The model of a group, with the whole knowledge base. Exits where its training had one of the group."""
    model = load_model(folder / "model", ROOT / "knowledge_base")
    training = model.config.training
    if training["recipe"]["unseen"] != group or set(training["concepts"]) & set(group):
        sys.exit(
            f"{folder}: was trained without another group than {', '.join(group[:3])} …; remove it and train again"
        )
    return model


# --- on the validation split ------------------------------------------------------------------------------------------


def choose_shares(models: Sequence[ECGCLIP], groups: list[list[str]], split: Split) -> dict[str, Any]:
    """Macro AUROC over all groups of several ways to ask for conditions that a model has never heard of, and the best.

    chosen_elsewhere: of each group asked as is best for the other three, as can be expected of further conditions.
    """
    concepts = [c for group in groups for c in group]
    truth = targets(split.cases, split.windows, tuple(concepts))
    columns = np.flatnonzero(((truth == 1).sum(0) >= MIN_CASES) & ((truth == 0).sum(0) >= MIN_CASES))
    concepts, truth = [concepts[j] for j in columns], truth[:, columns]
    number = np.array([next(i for i, group in enumerate(groups) if c in group) for c in concepts])
    patients = patient_numbers([split.cases[i] for i in split.windows.case])
    ecgs = [embed_windows(model, split.windows) for model in models]

    def ask(shares: dict[str, float], denials: bool = True) -> list[Figures]:
        with mock.patch("ecgclip.model.passages.DENIAL", DENIAL if denials else re.compile("(?!)")):
            vectors = [models[g].concept_vector(c, shares) for g, c in zip(number, concepts, strict=True)]
        scores = np.stack([ecgs[g] @ v for g, v in zip(number, vectors, strict=True)], 1)
        return resample(scores, truth, patients, 0)

    def macro(figures: Sequence[Figures]) -> list[float]:
        return interval(mean_figures(figures)["auroc"])

    tried = [ask(shares) for shares in SHARES]
    value = np.array([[f["auroc"][0] for f in figures] for figures in tried])  # (shares, concepts)
    best = int(value.mean(1).argmax())
    elsewhere = [int(value[:, number != g].mean(1).argmax()) for g in number]
    return {
        "conditions": len(concepts),
        "best": SHARES[best],
        "chosen_elsewhere": macro([tried[row][j] for j, row in enumerate(elsewhere)]),
        "best_denials_as_they_stand": macro(ask(SHARES[best], denials=False)),
        "tried": [{"shares": s, "auroc": macro(figures)} for s, figures in zip(SHARES, tried, strict=True)],
    }


@dataclass(frozen=True, eq=False)
class Hidden:
    """The conditions that a model was kept from: examples, and weights of the criteria fitted without them."""

    examples: Examples
    simulated: Examples
    criteria: Witnesses


Answer = tuple[Calibration, Witnesses]  # what makes probabilities of untrained conditions


def fit_answer(
    models: Sequence[ECGCLIP],
    groups: list[list[str]],
    cases: list[Case],
    split: Splits,
    simulated: Simulated,
    criteria: Sequence[Witnesses],
) -> tuple[dict[str, Any], list[Answer]]:
    """Fit curve and mix of untrained conditions on hidden ones that are rare, as what training never had is.

    How rare is chosen by the ECE of the groups, each answered by what the three others give. Curves that do without
    the similarity itself are left out: they cannot tell apart ECGs that are more similar than the whole reference bank.

    Parameters
    ----------
    criteria
        The weights of the criteria fitted without each group, and last those fitted on all conditions.

    Returns
    -------
    dict
        best: share, conditions, ece, curve and witnesses; tried: the same of every share, in short.
    list
        For each group the answer that the others give.
    """
    positives = Counter(c for case in cases for c in case.annotated)
    foreign = [
        calibrate.simulated_examples(model, simulated, group) for model, group in zip(models, groups, strict=True)
    ]
    tried, answers = [], []
    for share in RARE:
        rare = [[c for c in group if positives[c] <= share * len(cases)] for group in groups]
        real = [calibrate.examples(model, split, group) for model, group in zip(models, rare, strict=True)]
        hidden = [Hidden(*parts) for parts in zip(real, foreign, criteria[:-1], strict=True)]
        of_others = [answer(hidden[:i] + hidden[i + 1 :], h.criteria) for i, h in enumerate(hidden)]
        ece = [left_out_ece(h.examples, *given) for h, given in zip(hidden, of_others, strict=True)]
        curve, witnesses = answer(hidden, criteria[-1])
        tried.append({"share": share, "conditions": sum(map(len, rare)), "ece": [round(e, 4) for e in ece]})
        tried[-1] |= {"curve": asdict(curve), "witnesses": asdict(witnesses)}
        answers.append(of_others)
    rising = [i for i, row in enumerate(tried) if row["curve"]["weights"][0] > 0] or [*range(len(tried))]
    best = min(rising, key=lambda i: sum(tried[i]["ece"]))
    short = [{k: v for k, v in row.items() if k not in ("curve", "witnesses")} for row in tried]
    return {"best": tried[best], "tried": short}, answers[best]


def answer(hidden: Sequence[Hidden], criteria: Witnesses) -> Answer:
    """The curve of hidden conditions, and how it mixes with criteria of these weights."""
    if not hidden:
        return Calibration(), criteria
    parts = [h.examples for h in hidden]
    curve = calibrate.fit_untrained(parts)
    mix = calibrate.mix(parts, [h.simulated for h in hidden], curve, criteria)
    return curve, replace(criteria, untrained=mix)


def left_out_ece(examples: Examples, curve: Calibration, witnesses: Witnesses) -> float:
    """The ECE of hidden conditions by an answer that others gave."""
    known = examples.truth >= 0
    probability = examples.probability(curve, witnesses, known="untrained")
    return expected_calibration_error(probability[known], examples.truth[known])


def fit_weights(kb: KnowledgeBase, splits: Splits, simulated: Simulated, groups: list[list[str]]) -> list[Witnesses]:
    """The weights of the criteria, fitted without each group and what is broader or narrower, and on all conditions."""
    real = all_real_evidences(kb, splits)
    foreign = simulated.evidences(kb, simulated.concepts(kb))
    hidden = [set(kb.concepts) - kb.without(group).concepts.keys() for group in groups]
    return [fit_criteria(real, foreign, without) for without in (*hidden, set())]


def recalibrate(folder: Path, fitted: dict[str, Any], splits: Splits, held_out: Splits) -> None:
    """Calibrate a model by its own prompts and by the answer of untrained conditions; only config.json is written."""
    model = load_model(folder)
    stored = model.config.training["cross_fitted"]
    calibrate_model(model, splits, held_out, {k: v for k, v in stored.items() if k in ("auroc", "signal_weights")})
    witnesses = model.config.witnesses and replace(
        model.config.witnesses, untrained=tuple(fitted["witnesses"]["untrained"])
    )
    config = replace(model.config, untrained=Calibration(**fitted["curve"]), witnesses=witnesses)
    write_atomic(folder / "config.json", json.dumps(asdict(config), indent=1))


# --- figures ----------------------------------------------------------------------------------------------------------


def asked(model: ECGCLIP, labels: Labels, kind: str = "knowledge base") -> np.ndarray:
    """The vectors (labels, dim) of labels, asked for in one of PROMPTS."""
    if kind in ("knowledge base", "criteria only"):
        shares = CRITERIA if kind == "criteria only" else None
        return np.stack([model.concept_vector(concept, shares) for concept in labels.concepts])
    vectors = []
    for name, concept_id in zip(labels.names, labels.concepts, strict=True):
        concept = model.kb.concepts[concept_id]
        if kind == "name in templates":
            mean = model.plain_vectors([concept.name]).mean(0)
        else:
            texts = {
                "abbreviation": [name],
                "bare name": [concept.name],
                "all names and reports": [p.text for p in concept.passages if p.kind in ("name", "alias", "report")],
            }
            mean = model.embed_text(texts[kind]).mean(0)
        vectors.append(mean / np.linalg.norm(mean))
    return np.stack(vectors)


def unseen_table(
    models: Sequence[ECGCLIP], groups: list[list[str]], shipped: ECGCLIP, scored: Set, dataset: str
) -> tuple[dict[str, Any], dict[str, list[Figures]]]:
    """A set's labels, each scored by the model that never heard of it and by the shipped one.

    Returns the set's entry in results.json, and by way of asking the figures of the labels that count in its macro.
    """
    cases, windows, labels, min_positives = scored
    cases = [cases[i] for i in np.unique(windows.case)]
    truth, patients = truth_table(cases, labels), patient_numbers(cases)
    # all labels that an ECG has, unless some groups are not trained yet
    in_groups = np.isin(labels.concepts, [c for group in groups for c in group])
    columns = np.flatnonzero((truth == 1).any(0) & in_groups)
    truth = truth[:, columns]
    labels = Labels([labels.names[j] for j in columns], [labels.concepts[j] for j in columns], {})
    number = np.array([next(i for i, group in enumerate(groups) if c in group) for c in labels.concepts])
    scores = unseen_scores(models, number, shipped, windows, cases, labels)
    figures = {kind: resample(s, truth, patients, 0) for kind, s in scores.items()}
    rows, macro = zip(*(label_summary(f, truth, labels, min_positives) for f in figures.values()), strict=True)
    table = [
        {k: same[0][k] for k in ("label", "concept", "positives", "known", "in_macro")}
        | {"group": int(g) + 1}
        | {"trained": same[0]["concept"] in models[g].config.training["concepts"]}
        | {"shipped_trained": same[0]["concept"] in shipped.config.training["concepts"]}
        | {kind: row["auroc"] for kind, row in zip(figures, same, strict=True)}
        for g, *same in zip(number, *rows, strict=True)
    ]
    result = {
        "records": len(cases),
        "least_positives": min_positives,
        "source_trained": source_trained(models[0], dataset),
        "macro": {kind: m["auroc"] for kind, m in zip(figures, macro, strict=True)},
        "less bare name": {
            kind: difference(scores["bare name"], scores[kind], truth, patients, labels, min_positives, 0)[1]["auroc"]
            for kind in ASKED[1:]
        },
        "labels": table,
    }
    counted = [j for j, row in enumerate(table) if row["in_macro"]]
    return result, {kind: [f[j] for j in counted] for kind, f in figures.items()}


def unseen_scores(
    models: Sequence[ECGCLIP],
    number: np.ndarray,
    shipped: ECGCLIP,
    windows: Windows,
    cases: list[Case],
    labels: Labels,
) -> dict[str, np.ndarray]:
    """Way of asking → scores (records, labels), of the model with each label's `number`; and of the shipped one."""
    scores = {kind: np.zeros((len(cases), len(number))) for kind in (*ASKED, "shipped")}
    readings = readings_by_record(windows, cases)
    for g, model in enumerate(models):
        vectors = by_record(windows, embed_windows(model, windows))[1]
        for kind, prompt in VECTORS.items():
            scores[kind][:, number == g] = (vectors @ asked(model, labels, prompt).T)[:, number == g]
        by = probabilities(model, vectors, readings, labels)
        scores["criteria"][:, number == g] = by.criteria[:, number == g]
        scores["knowledge base"][:, number == g] = by.both[:, number == g]
    vectors = by_record(windows, embed_windows(shipped, windows))[1]
    scores["shipped"] = probabilities(shipped, vectors, readings, labels).both
    scores["criteria"] = np.nan_to_num(scores["criteria"])  # without criteria, all ECGs are alike
    return scores


def probabilities(model: ECGCLIP, vectors: np.ndarray, readings: Readings, labels: Labels) -> Probabilities:
    """The probabilities (records, labels) of concepts by a model; vectors (records, dim) need not be of unit length."""
    prompts = [model.prompt(name, True, concept) for name, concept in zip(labels.names, labels.concepts, strict=True)]
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return model.probabilities(vectors, prompts, Judge(readings, model.kb.concepts))


def set_tables(
    models: Sequence[ECGCLIP], groups: list[list[str]], shipped: ECGCLIP, sets: dict[str, Set]
) -> dict[str, Any]:
    """The table of each set, and the macro over the sets of hospitals that the models were not trained on."""
    tables: dict[str, Any] = {}
    abroad: dict[str, list[Figures]] = {}
    for name, scored_set in sets.items():
        tables[name], figures = unseen_table(models, groups, shipped, scored_set, SETS[name])
        print(name, tables[name]["macro"], flush=True)
        for kind in figures if not tables[name]["source_trained"] else ():
            abroad.setdefault(kind, []).extend(figures[kind])
    return {
        "sets": tables,
        "abroad": {
            "sets": [name for name, r in tables.items() if not r["source_trained"]],
            "macro": {kind: interval(mean_figures(f)["auroc"]) for kind, f in abroad.items()},
        },
    }


def prompt_rows(model: ECGCLIP, sets: dict[str, Set]) -> list[dict[str, Any]]:
    """Macro AUROC by set of the shipped weights, asked in different words."""
    rows: list[dict[str, Any]] = [{"prompt": kind} for kind in PROMPTS]
    for name, (cases, windows, labels, min_positives) in sets.items():
        cases = [cases[i] for i in np.unique(windows.case)]
        truth, patients = truth_table(cases, labels), patient_numbers(cases)
        vectors = by_record(windows, embed_windows(model, windows))[1]
        for row in rows:
            figures = resample(vectors @ asked(model, labels, row["prompt"]).T, truth, patients, 0)
            row[name] = label_summary(figures, truth, labels, min_positives)[1]["auroc"]
    return rows


def group_summary(kb: KnowledgeBase, cases: list[Case], group: list[str], model: ECGCLIP) -> dict[str, Any]:
    """What was hidden from a training, and how many of the training folds' reports name none of it."""
    remaining = kb.without(group)
    return {
        "unseen": group,
        "taken_away": len(kb.concepts) - len(remaining.concepts),
        "positives": sum(c in case.annotated for case in cases for c in group),
        "reports_left": sum(bool(forget(case, remaining).report) for case in cases),
        "reports": sum(bool(case.report) for case in cases),
        "weights_sha256": model.weights_sha256,
        **{k: model.config.training[k] for k in ("seconds", "code_version", "data_sha256")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--as-trained", action="store_true", help="train nothing, score with the groups as they were trained"
    )
    parser.add_argument("--into", type=Path, metavar="MODEL", help="a model whose config.json gets the calibration")
    args = parser.parse_args()
    recipe = Recipe.load(ROOT / "recipes/default.yaml")
    shipped = load_model()
    options = recipe.data["ptb-xl"]
    cases = ptb_xl(args.data / options["path"], shipped.kb, options["folds"])
    tests = test_sets(shipped, args.data)
    sets = {name: tests[name] for name in SETS}
    every_group = trained_groups(args.runs) if args.as_trained else all_groups(shipped.kb, cases, sets)
    folders = {i: args.runs / str(i) for i in range(1, len(every_group) + 1)}
    if args.as_trained:
        folders = {i: folder for i, folder in folders.items() if every_group[i - 1]}
    elif failed := train(recipe, args.data, args.runs, every_group, max(1, args.jobs)):
        sys.exit(f"not trained: {', '.join(failed)}; start again to go on")
    groups = [every_group[i - 1] for i in folders]
    torch.set_num_threads(cores())
    models = [load_unseen(folder, group) for folder, group in zip(folders.values(), groups, strict=True)]
    splits, held_out = (load_split(recipe, args.data, shipped.kb, validation) for validation in (False, True))
    shares = choose_shares(models, groups, next(iter(held_out.values())))
    print_shares(shares)
    simulated = Simulated.of()
    criteria = fit_weights(shipped.kb, splits, simulated, groups)
    calibration, answers = fit_answer(models, groups, cases, held_out, simulated, criteria)
    for tried in calibration["tried"]:
        print("answer of untrained conditions:", tried)
    for model, (curve, witnesses) in zip(models, answers, strict=True):
        model.config = replace(model.config, untrained=curve, witnesses=witnesses)
    if args.into:
        recalibrate(args.into, calibration["best"], splits, held_out)
        shipped = load_model(args.into)
    results: dict[str, Any] = {"task": "unseen", **set_tables(models, groups, shipped, sets)}
    results |= {
        "groups": [group_summary(shipped.kb, cases, group, model) for group, model in zip(groups, models, strict=True)],
        "groups_in_all": len(every_group),
        "calibration": calibration,
        "shares": shares | {"ships": prompt_settings()["enrich_untrained"]},
        "prompts": prompt_rows(shipped, sets),
        "weights_sha256": shipped.weights_sha256,
        "data_sha256": cases_hash([c for s in sets.values() for c in s[0]]),
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
    }
    write_json(args.out / "results.json", results)


def all_groups(kb: KnowledgeBase, cases: list[Case], sets: dict[str, Set]) -> list[list[str]]:
    """The four groups of conditions: those of the training cases, and the labels of the sets that an ECG has."""
    positives = Counter(c for case in cases for c in case.annotated)
    scored = {c for s in sets.values() for case in s[0] for c in case.annotated if c in s[2].concepts}
    groups = balanced(families(kb, positives.keys() | scored), positives)
    for number, group in enumerate(groups, 1):
        count = sum(positives[c] for c in group)
        print(f"{number}: {count} positives, {len(group)} conditions: {', '.join(group)}", flush=True)
    return groups


def print_shares(shares: dict[str, Any]) -> None:
    for row in shares["tried"]:
        print(row["auroc"], row["shares"])
    ships = json.dumps(prompt_settings()["enrich_untrained"])
    print(f"best: enrich_untrained: {json.dumps(shares['best'])}; prompts/templates.yaml has {ships}")


if __name__ == "__main__":
    main()
