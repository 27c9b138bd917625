"""Whether what is scored agrees with what was simulated.  python benchmarks/simulated.py results/simulated

The simulator's patients here are of seeds that nothing was fitted on. Each concept that a simulated ECG has is asked
for among all ECGs that certainly have it or lack it: AUROC by the score, by the vector alone and by the criteria alone.
Then the scores must not contradict each other: an ECG made as an infarction is scored as one, and not as normal. Some
conditions must be first of their category, before all that the ECG certainly lacks: flutter at 150 a minute is a
tachycardia, too, and WPW has a short PR interval.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ecgclip import load_model
from ecgclip.evaluate.metrics import Labels, label_table
from ecgclip.files import code_version, write_json
from ecgclip.knowledge.criteria import Judge
from ecgclip.model.clip import ECGCLIP
from ecgclip.simulate import CONDITIONS
from ecgclip.train.witnesses import Simulated

SEEDS = range(100, 120)
MIN_POSITIVES = 5


class Rule(NamedTuple):
    """What every ECG of some conditions must be scored: at least, at most, and first among the kinds of a category."""

    conditions: tuple[str, ...]
    at_least: dict[str, float] = {}
    at_most: dict[str, float] = {}
    first: str = ""


WALLS = ("anterior-stemi", "inferior-stemi", "lateral-stemi")
RULES = (
    Rule(WALLS, {"stemi": 0.8}, {"normal-ecg": 0.1}),
    Rule(("lbbb", "paced"), {}, {"stemi": 0.3}),
    Rule(("complete-av-block",), {"complete-av-block": 0.7}, first="complete-av-block"),
    Rule(("flutter",), {"atrial-flutter": 0.7}, first="atrial-flutter"),
    Rule(("wpw",), {"wolff-parkinson-white": 0.7}, first="wolff-parkinson-white"),
    Rule(("long-qt",), {"prolonged-qt-interval": 0.7}, first="prolonged-qt-interval"),
    Rule(("hyperkalemia",), {"hyperkalemia": 0.7}, first="hyperkalemia"),
    Rule(("posterior-stemi",), {"posterior-myocardial-infarction": 0.7}, first="posterior-myocardial-infarction"),
)


class Scores(NamedTuple):
    """Probabilities (ECGs, concepts) of simulated ECGs: by both witnesses, and by each alone."""

    concepts: tuple[str, ...]
    both: np.ndarray
    vector: np.ndarray
    criteria: np.ndarray

    def of(self, concept: str) -> np.ndarray:
        """(ECGs,), by both witnesses."""
        return self.both[:, self.concepts.index(concept)]


def score(model: ECGCLIP, simulated: Simulated) -> Scores:
    """Score simulated ECGs for all conditions of the knowledge base."""
    concepts = tuple(c.id for c in model.kb.concepts.values() if c.category != "beat")
    prompts = [model.prompt(model.kb.concepts[c].name, True, c) for c in concepts]
    vectors = np.stack([embedding.vector for embedding in model.encode(simulated.ecgs)])
    judge = Judge(simulated.readings, model.kb.concepts)
    by = model.probabilities(vectors, prompts, judge)
    return Scores(concepts, by.both, by.vector, by.criteria)


def kept(model: ECGCLIP, scores: Scores, truth: np.ndarray, rows: np.ndarray, rule: Rule) -> np.ndarray:
    """Which of the ECGs (rows) keep a rule, bool (rows,); truth (ECGs, concepts)."""
    good = np.ones(len(rows), bool)
    for concept, least in rule.at_least.items():
        good &= scores.of(concept)[rows] >= least
    for concept, most in rule.at_most.items():
        good &= scores.of(concept)[rows] <= most
    if rule.first:
        good &= scores.of(rule.first)[rows] >= rivals(model, scores, truth, rows, rule.first).max(axis=1)
    return good


def rivals(model: ECGCLIP, scores: Scores, truth: np.ndarray, rows: np.ndarray, concept: str) -> np.ndarray:
    """Probabilities (rows, others) of the other conditions of a category that are neither broader nor narrower.

    0 for those that an ECG has or may have.
    """
    kb = model.kb
    family = {concept} | kb.ancestors(concept)
    others = [
        j
        for j, other in enumerate(scores.concepts)
        if kb.concepts[other].category == kb.concepts[concept].category
        and other not in family
        and not kb.ancestors(other) & family
    ]
    chosen = np.ix_(rows, np.array(others, int))
    return np.where(truth[chosen] == 0, scores.both[chosen], 0)


def tables(model: ECGCLIP, simulated: Simulated, conditions: Sequence[str], scores: Scores) -> dict[str, Any]:
    """AUROC of each concept by each witness, and the share of ECGs that keep each rule."""
    truth = simulated.truth(scores.concepts)
    labels = Labels(list(scores.concepts), list(scores.concepts), {})
    patients = np.arange(len(truth))
    by_witness = {}
    for name in ("both", "vector", "criteria"):
        score = np.nan_to_num(getattr(scores, name))
        by_witness[name] = label_table(score, truth, patients, labels, MIN_POSITIVES, seed=0)
    rows = [
        {"concept": row["concept"], "positives": row["positives"], "trained": model.trained(row["concept"])}
        | {name: table[0][j]["auroc"] for name, table in by_witness.items()}
        for j, row in enumerate(by_witness["both"][0])
        if row["in_macro"]
    ]
    macro = {name: table[1]["auroc"] for name, table in by_witness.items()}
    return {"macro": macro, "labels": rows, "rules": rule_rows(model, conditions, scores, truth)}


def rule_rows(model: ECGCLIP, conditions: Sequence[str], scores: Scores, truth: np.ndarray) -> list[dict[str, Any]]:
    """Each rule, and the share of the ECGs of its condition that keep it.

    conditions : of each ECG
    truth : (ECGs, concepts)
    """
    rows = []
    for rule in RULES:
        for condition in rule.conditions:
            good = kept(model, scores, truth, np.flatnonzero(np.array(conditions) == condition), rule)
            shown = {"condition": condition, "at_least": rule.at_least, "at_most": rule.at_most, "first": rule.first}
            rows.append(shown | {"kept": round(float(good.mean()), 3)})
    return rows


def main(out: Path) -> None:
    model = load_model()
    simulated = Simulated.of(SEEDS)
    conditions = [condition for condition in CONDITIONS for _ in SEEDS]
    results = {
        "task": "simulated",
        "weights_sha256": model.weights_sha256,
        "code_version": code_version(),
        "seeds": [*SEEDS],
        "records": len(conditions),
        **tables(model, simulated, conditions, score(model, simulated)),
    }
    write_json(out / "results.json", results)
    for row in sorted(results["labels"], key=lambda row: row["both"][0]):
        print(f"{row['concept']:42}", row["positives"], *(row[name][0] for name in ("both", "vector", "criteria")))
    print(results["macro"])
    for row in results["rules"]:
        print(f"{row['condition']:24} keeps its rule in {row['kept']:.0%} of {len(SEEDS)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
