"""What zero-shot means: every label scored by a model that never heard of it.

    python benchmarks/unseen.py $ECGCLIP_DATA runs/unseen results/unseen [--jobs 1] [--as-trained] [--into runs/clip/model]

All statements of PTB-XL's training folds, and all labels of the sets that are scored, fall into four groups. For each group the whole
recipe, recipes/default.yaml, is trained without it, tokenizer and text encoder too: no text and no label of that training names one of
its conditions, a narrower one or a namesake. What runs/unseen has already is not trained again, and an interrupted training goes on.

Then, on the validation split alone, each condition asked of the model that never heard of it: the best `enrich_untrained` for
prompts/templates.yaml and, with --into, the calibration of untrained conditions for a model's config.json. At last the figures.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from ablations import ROOT, Set, apart, by_record, test_sets, wait

from ecgclip.data.cases import Case
from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.evaluate.bootstrap import interval
from ecgclip.evaluate.metrics import Figures, Labels, difference, label_summary, mean_figures, resample
from ecgclip.evaluate.results import cases_hash
from ecgclip.evaluate.truth import patient_numbers, source_trained, truth_table
from ecgclip.files import code_version, write_atomic, write_json
from ecgclip.index.workers import cores
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.passages import DENIAL
from ecgclip.model.prompts import prompt_settings
from ecgclip.model.store import load_model
from ecgclip.train import calibrate
from ecgclip.train.clip import train_clip
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, forget, load_split
from ecgclip.train.text import train_text
from ecgclip.train.validation import embed_windows
from ecgclip.train.wording import targets

GROUPS = 4
PROMPTS = ("abbreviation", "bare name", "name in templates", "criteria only", "all names and reports", "knowledge base")
ASKED = ("bare name", "all names and reports", "criteria only", "knowledge base")  # of PROMPTS
SETS = {  # of ablations.test_sets, and the data set that each is of
    "fold 9, superclasses": "ptb-xl",
    "fold 9, all statements": "ptb-xl",
    "CPSC2018": "cpsc2018",
    "other challenge 2020": "challenge-2020",
}
LEAST = 3  # positives on the validation split of a condition that chooses the shares
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
    """Those of the concepts that cannot be hidden one without the other: where one goes, `KnowledgeBase.without` takes the other too."""
    found: list[set[str]] = []
    for concept in sorted(concepts):
        family = set(concepts) - kb.without([concept]).concepts.keys()
        found, joined = [f for f in found if not f & family], [f for f in found if f & family]
        found.append(family.union(*joined))
    return found


def balanced(found: Sequence[Collection[str]], positives: Counter[str], parts: int = GROUPS) -> list[list[str]]:
    """Families → groups: the largest first, each to the group that is smallest by its share of the concepts and of the positives."""
    concepts, total = sum(map(len, found)), max(1, positives.total())

    def size(family: Collection[str]) -> float:
        return len(family) / concepts + sum(positives[c] for c in family) / total

    groups: list[list[str]] = [[] for _ in range(parts)]
    for family in sorted(found, key=lambda f: (-size(f), min(f))):
        min(groups, key=size).extend(family)
    return [sorted(group) for group in groups]


# --- a training without each ------------------------------------------------------------------------------------------


def train(recipe: Recipe, data: Path, runs: Path, groups: list[list[str]], jobs: int) -> list[str]:
    """The trainings that are not there yet, so many `jobs` at a time; → what failed."""
    running: dict[int, str] = {}
    failed: list[str] = []
    for number, group in enumerate(groups, 1):
        folder = runs / str(number)
        if not (folder / "model/config.json").exists():
            failed += wait(running, jobs - 1)
            plan = replace(recipe, name=f"without group {number}", unseen=group)
            running[apart(train_one, plan, data, folder, max(1, cores() // jobs))] = str(folder)
    return failed + wait(running, 0)


def train_one(recipe: Recipe, data: Path, folder: Path, threads: int) -> None:
    if not (folder / "text/text.json").exists():
        train_text(recipe, data, folder / "text", threads)
    train_clip(recipe, data, folder / "text", folder, threads)


def load_unseen(folder: Path, group: list[str]) -> ECGCLIP:
    """A group's model, which for the asking knows the whole knowledge base. Exits where it has heard of one of the group."""
    model = load_model(folder / "model", ROOT / "knowledge_base")
    facts = model.config.training
    if facts["recipe"]["unseen"] != group or set(facts["concepts"]) & set(group):
        sys.exit(
            f"{folder}: was trained without another group than {', '.join(group[:3])} …; remove it and train again"
        )
    return model


# --- on the validation split ------------------------------------------------------------------------------------------


def choose_shares(models: Sequence[ECGCLIP], groups: list[list[str]], split: Split) -> dict[str, Any]:
    """Macro AUROC of ways to ask for conditions that a model has never heard of, over all groups; and of choosing among them.

    chosen_elsewhere: each group asked as is best for the other three, which is what the choice is worth for further conditions.
    """
    concepts = [c for group in groups for c in group]
    truth = targets(split.cases, split.windows, tuple(concepts))
    keep = np.flatnonzero(((truth == 1).sum(0) >= LEAST) & ((truth == 0).sum(0) >= LEAST))
    concepts, truth = [concepts[j] for j in keep], truth[:, keep]
    number = np.array([next(i for i, group in enumerate(groups) if c in group) for c in concepts])
    people = patient_numbers([split.cases[i] for i in split.windows.case])
    ecgs = [embed_windows(model, split.windows) for model in models]

    def ask(shares: dict[str, float], denials: bool = True) -> list[Figures]:
        with mock.patch("ecgclip.model.passages.DENIAL", DENIAL if denials else re.compile("(?!)")):
            vectors = [models[g].concept_vector(c, shares) for g, c in zip(number, concepts, strict=True)]
        scores = np.stack([ecgs[g] @ v for g, v in zip(number, vectors, strict=True)], 1)
        return resample(scores, truth, people, 0)

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


def write_calibration(
    model: Path, models: Sequence[ECGCLIP], groups: list[list[str]], held_out: dict[str, Split]
) -> None:
    """Fit the curve of untrained conditions on hidden ones, and write it into a model's config.json."""
    fitted = calibrate.calibrate_untrained([(m, held_out, group) for m, group in zip(models, groups, strict=True)])
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    write_atomic(model / "config.json", json.dumps(config | {"untrained": asdict(fitted)}, indent=1))
    print(f"{model}/config.json: untrained {fitted}")


# --- figures ----------------------------------------------------------------------------------------------------------


def asked(model: ECGCLIP, labels: Labels, kind: str = "knowledge base") -> np.ndarray:
    """The vectors of labels (n, dim), asked for in one of PROMPTS."""
    vectors = []
    for name, concept in zip(labels.names, labels.concepts, strict=True):
        if kind in ("knowledge base", "criteria only"):
            vectors.append(model.concept_vector(concept, CRITERIA if kind == "criteria only" else None))
            continue
        known = model.kb.concepts[concept]
        by_kind = {
            "abbreviation": [name],
            "bare name": [known.name],
            "all names and reports": [p.text for p in known.passages if p.kind in ("name", "alias", "report")],
        }
        mean = (
            model.plain_vectors([known.name]) if kind == "name in templates" else model.embed_text(by_kind[kind])
        ).mean(0)
        vectors.append(mean / np.linalg.norm(mean))
    return np.stack(vectors)


def unseen_table(
    models: Sequence[ECGCLIP], groups: list[list[str]], shipped: ECGCLIP, scored: Set, dataset: str
) -> tuple[dict[str, Any], dict[str, list[Figures]]]:
    """A set's labels, each by the model that never heard of it and by the shipped one → its rows, and the figures behind the macro."""
    cases, windows, labels, least = scored
    cases = [cases[i] for i in np.unique(windows.case)]
    truth = truth_table(cases, labels)
    told = np.isin(
        labels.concepts, [c for group in groups for c in group]
    )  # all, unless some groups are not trained yet
    keep = np.flatnonzero((truth == 1).any(0) & told)
    truth, people = truth[:, keep], patient_numbers(cases)
    labels = Labels([labels.names[j] for j in keep], [labels.concepts[j] for j in keep], {})
    number = np.array([next(i for i, group in enumerate(groups) if c in group) for c in labels.concepts])
    scores = {kind: np.zeros(truth.shape) for kind in ASKED}
    for g, model in enumerate(models):
        ecgs = by_record(windows, embed_windows(model, windows))[1]
        for kind in ASKED:
            scores[kind][:, number == g] = (ecgs @ asked(model, labels, kind).T)[:, number == g]
    scores["shipped"] = by_record(windows, embed_windows(shipped, windows))[1] @ asked(shipped, labels).T
    figures = {kind: resample(s, truth, people, 0) for kind, s in scores.items()}
    rows, macro = zip(*(label_summary(f, truth, labels, least) for f in figures.values()), strict=True)
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
        "least_positives": least,
        "source_trained": source_trained(models[0], dataset),
        "macro": {kind: m["auroc"] for kind, m in zip(figures, macro, strict=True)},
        "less bare name": {
            kind: difference(scores["bare name"], scores[kind], truth, people, labels, least, 0)[1]["auroc"]
            for kind in ASKED[1:]
        },
        "labels": table,
    }
    counted = [j for j, row in enumerate(table) if row["in_macro"]]
    return result, {kind: [f[j] for j in counted] for kind, f in figures.items()}


def prompt_rows(model: ECGCLIP, sets: dict[str, Set]) -> list[dict[str, Any]]:
    """The same ECG vectors of the shipped weights asked in different words: macro AUROC by set."""
    rows: list[dict[str, Any]] = [{"prompt": kind} for kind in PROMPTS]
    for name, (cases, windows, labels, least) in sets.items():
        cases = [cases[i] for i in np.unique(windows.case)]
        truth, people = truth_table(cases, labels), patient_numbers(cases)
        vectors = by_record(windows, embed_windows(model, windows))[1]
        for row in rows:
            figures = resample(vectors @ asked(model, labels, row["prompt"]).T, truth, people, 0)
            row[name] = label_summary(figures, truth, labels, least)[1]["auroc"]
    return rows


def group_facts(kb: KnowledgeBase, cases: list[Case], group: list[str], model: ECGCLIP, folder: Path) -> dict[str, Any]:
    """What was hidden, and what was left: reports that name none of it, of the training folds' that are there."""
    rest = kb.without(group)
    return {
        "unseen": group,
        "taken_away": len(kb.concepts) - len(rest.concepts),
        "positives": sum(c in case.annotated for case in cases for c in group),
        "reports_left": sum(bool(forget(case, rest).report) for case in cases),
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
    parser.add_argument("--as-trained", action="store_true", help="train nothing, score with the groups that are there")
    parser.add_argument("--into", type=Path, metavar="MODEL", help="a model whose config.json gets the calibration")
    given = parser.parse_args()
    recipe = Recipe.load(ROOT / "recipes/default.yaml")
    shipped = load_model()
    kb, options = shipped.kb, recipe.data["ptb-xl"]
    cases = ptb_xl(given.data / options["path"], kb, options["folds"])
    positives = Counter(c for case in cases for c in case.annotated)
    tests = test_sets(shipped, given.data)
    sets = {name: tests[name] for name in SETS}
    scored = {c for s in sets.values() for case in s[0] for c in case.annotated if c in s[2].concepts}
    groups = balanced(families(kb, positives.keys() | scored), positives)
    for number, group in enumerate(groups, 1):
        print(
            f"{number}: {sum(positives[c] for c in group)} positives, {len(group)} conditions: {', '.join(group)}",
            flush=True,
        )
    folders = {i: given.runs / str(i) for i in range(1, len(groups) + 1)}
    if given.as_trained:
        folders = {i: folder for i, folder in folders.items() if (folder / "model/config.json").exists()}
    elif failed := train(recipe, given.data, given.runs, groups, max(1, given.jobs)):
        sys.exit(f"not trained: {', '.join(failed)}; start again to go on")
    whole, groups = len(groups), [groups[i - 1] for i in folders]
    torch.set_num_threads(cores())
    models = [load_unseen(folder, group) for folder, group in zip(folders.values(), groups, strict=True)]
    held_out = load_split(recipe, given.data, kb, validation=True)
    shares = choose_shares(models, groups, next(iter(held_out.values())))
    for row in shares["tried"]:
        print(row["auroc"], row["shares"])
    ships = prompt_settings()["enrich_untrained"]
    print(f"best: enrich_untrained: {json.dumps(shares['best'])}; prompts/templates.yaml has {json.dumps(ships)}")
    if given.into:
        write_calibration(given.into, models, groups, held_out)
    results: dict[str, Any] = {"task": "unseen", "sets": {}}
    abroad: dict[str, list[Figures]] = {}
    for name, scored_set in sets.items():
        results["sets"][name], figures = unseen_table(models, groups, shipped, scored_set, SETS[name])
        print(name, results["sets"][name]["macro"], flush=True)
        for kind in figures if not results["sets"][name]["source_trained"] else ():
            abroad.setdefault(kind, []).extend(figures[kind])
    results["abroad"] = {
        "sets": [name for name, r in results["sets"].items() if not r["source_trained"]],
        "macro": {kind: interval(mean_figures(f)["auroc"]) for kind, f in abroad.items()},
    }
    results |= {
        "groups": [
            group_facts(kb, cases, group, model, folder)
            for group, model, folder in zip(groups, models, folders.values(), strict=True)
        ],
        "groups_in_all": whole,
        "shares": shares | {"ships": ships},
        "prompts": prompt_rows(shipped, sets),
        "weights_sha256": shipped.weights_sha256,
        "data_sha256": cases_hash([c for s in sets.values() for c in s[0]]),
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
    }
    write_json(given.out / "results.json", results)


if __name__ == "__main__":
    main()
