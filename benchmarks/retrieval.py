"""How well and how fast an archive is searched.

    python benchmarks/retrieval.py $ECGCLIP_DATA/ptb-xl INDEX_DIR results/retrieval

Builds an index of all PTB-XL records at hand (timed), then searches fold 9, which is no part of the training: text →
ECG by every superclass and statement with at least ten positives, ECG → ECG by shared superclass, other patients
only. A German name finds the same ECGs, as it names the same concept: `ecgclip eval retrieval` measures what differs
by language.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.evaluate.bootstrap import RESAMPLES, interval
from ecgclip.evaluate.results import cases_hash
from ecgclip.files import code_version, write_json
from ecgclip.index.archive import ECGIndex

FOLD = 9
K = 10  # of precision
MIN_POSITIVES = 10
IN_FOLD = f"strat_fold = {FOLD}"


def main(data: Path, folder: Path, out: Path) -> None:
    index, seconds = build(data, folder)
    cases = ptb_xl(data, index.model.kb, folds=[FOLD])
    labels = text_to_ecg(index, cases)
    hits, chance = ecg_to_ecg(index, cases)
    results = {
        "task": "retrieval",
        "dataset": "ptb-xl",
        "fold": FOLD,
        "records": len(cases),
        "weights_sha256": index.model.weights_sha256,
        "data_sha256": cases_hash(cases),
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
        "build": {"records": index.info()["records"], "seconds": seconds and round(seconds, 1)},
        "text_to_ecg": {
            "precision_at_10": mean_of_queries([row["precision_at_10"] for row in labels]),
            "chance": round(float(np.mean([row["chance"] for row in labels])), 4),
            "best": round(float(np.mean([row["best"] for row in labels])), 4),
        },
        "ecg_to_ecg": {
            "precision_at_10": mean_of_queries(hits),
            "chance": round(float(np.mean(chance)), 4),
            "queries": len(hits),
        },
        "labels": labels,
    }
    write_json(out / "results.json", results)
    print(json.dumps({k: v for k, v in results.items() if k != "labels"}, indent=1))


def build(data: Path, folder: Path) -> tuple[ECGIndex, float | None]:
    """The index, and the seconds that it took; None where it was there before."""
    started = time.time()
    index = ECGIndex.build([data / "records100"], folder)
    return index, None if index.last.unchanged else time.time() - started


def text_to_ecg(index: ECGIndex, cases: list[Case]) -> list[dict[str, Any]]:
    """Search for each concept with at least MIN_POSITIVES by its name → a row for each."""
    annotated = {str(Path(c.path)): c.annotated for c in cases}
    # of some records only a part of the statements is known: the others count neither as hits nor as misses
    known = {str(Path(c.path)): c.annotated | c.statements.keys() for c in cases}
    rows = []
    for concept in sorted(set().union(*annotated.values())):
        positives = sum(concept in concepts for concepts in annotated.values())
        if positives < MIN_POSITIVES:
            continue
        hits = index.search(index.model.kb.concepts[concept].name, k=len(cases), where=IN_FOLD)
        judged = [hit.record for hit in hits if concept in known[hit.record]]
        rows.append(
            {
                "concept": concept,
                "positives": positives,
                "chance": round(positives / sum(concept in concepts for concepts in known.values()), 4),
                "best": min(positives / K, 1.0),
                "precision_at_10": sum(concept in annotated[record] for record in judged[:K]) / K,
            }
        )
    return rows


def ecg_to_ecg(index: ECGIndex, cases: list[Case]) -> tuple[list[float], list[float]]:
    """Search for each ECG that has a superclass → the share of hits among the K best of each, and that of chance."""
    annotated = {str(Path(c.path)): c.annotated for c in cases}
    shares, chance = [], []
    for case in cases:
        classes = case.annotated & set(SUPERCLASSES.values())
        if not classes:
            continue
        hits = index.search(like=case.path, k=K, where=f"{IN_FOLD} AND patient_id <> {float(case.patient)}")
        shares.append(float(np.mean([bool(classes & annotated[hit.record]) for hit in hits])))
        chance.append(float(np.mean([bool(classes & concepts) for concepts in annotated.values()])))
    return shares, chance


def mean_of_queries(values: list[float]) -> list[float]:
    """The mean [value, low, high], its interval over resampled queries."""
    rng, x = np.random.default_rng(0), np.array(values)
    return interval(np.r_[x.mean(), x[rng.integers(0, len(x), (RESAMPLES, len(x)))].mean(1)])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
