"""How often each criterion is met with its condition and without it.

    python benchmarks/criteria.py $ECGCLIP_DATA results/criteria [--page docs/criteria.md]

On PTB-XL's validation patients, for every condition that five of them or more have. A criterion that is met as often
without the condition as with it says nothing, whatever a guideline holds; one that is never met is measured wrongly, or
written wrongly.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.windows import load_windows
from ecgclip.files import code_version, write_atomic, write_json
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.criteria import Judge
from ecgclip.knowledge.criteria.judge import CLEAR, tree_of
from ecgclip.processes import cores
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import source_parts, windows_cache
from ecgclip.train.targets import targets
from ecgclip.train.witnesses import readings_of

MIN_POSITIVES = 5
ROOT = Path(__file__).parents[1]


def rows_of(kb: KnowledgeBase, judge: Judge, concept: str, truth: np.ndarray) -> list[dict[str, Any]]:
    """A row for each criterion of a condition that has a test; truth (windows,): 1 present, 0 absent, -1 unknown."""
    rows = []
    for criterion in kb.concepts[concept].criteria:
        if criterion.test:
            low, high = judge.margin(tree_of(criterion.test))
            measurable = np.isfinite(low) & np.isfinite(high) | (low >= CLEAR) | (high <= -CLEAR)
            met = {
                name: round(float((low >= CLEAR)[(truth == value) & measurable].mean()), 3)
                if ((truth == value) & measurable).any()
                else None
                for name, value in (("with", 1), ("without", 0))
            }
            shown = {"concept": concept, "criterion": criterion.text, "role": criterion.role or "supporting"}
            rows.append(shown | met | {"measurable": round(float(measurable.mean()), 3)})
    return rows


def page(results: dict[str, Any]) -> str:
    """The table as a page."""
    lines = [
        "# How often criteria are met",
        "",
        f"On {results['records']} ECGs of PTB-XL's validation patients, for the conditions that at least "
        f"{MIN_POSITIVES} of them have: the share of ECGs with the condition, and of those without it, that meet each "
        "criterion. Neither text nor test was chosen by these figures. This page is written by "
        "`python benchmarks/criteria.py $ECGCLIP_DATA results/criteria --page docs/criteria.md`.",
        "",
        "| condition (ECGs) | criterion | role | met with it | met without it | measurable |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in results["criteria"]:
        cells = [f"{row['concept']} ({row['positives']})", row["criterion"].replace("|", "/"), row["role"]]
        cells += ["–" if row[key] is None else f"{row[key]:.0%}" for key in ("with", "without", "measurable")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--page", type=Path, help="also write the table as Markdown")
    args = parser.parse_args()
    kb, recipe = KnowledgeBase.load(), Recipe.load(ROOT / "recipes/default.yaml")
    cases = source_parts(recipe, recipe.main, args.data, kb).validation
    windows = load_windows(cases, windows_cache(), cores())
    judge = Judge(readings_of(windows, cases), kb.concepts)
    concepts = sorted({c for case in cases for c, present in case.statements.items() if present and c in kb.concepts})
    truth = targets(cases, windows, tuple(concepts))
    rows = []
    for j, concept in enumerate(concepts):
        positives = int((truth[:, j] == 1).sum())
        if positives >= MIN_POSITIVES:
            rows += [{**row, "positives": positives} for row in rows_of(kb, judge, concept, truth[:, j])]
    results = {"task": "criteria", "records": len(cases), "code_version": code_version(), "criteria": rows}
    write_json(args.out / "results.json", results)
    if args.page:
        write_atomic(args.page, page(results))


if __name__ == "__main__":
    main()
