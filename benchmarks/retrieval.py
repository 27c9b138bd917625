"""How well and how fast an archive is searched:  python benchmarks/retrieval.py $ECGCLIP_DATA/ptb-xl INDEX_DIR results/retrieval

Builds an index of all of PTB-XL's records at hand (timed), then searches fold 9, which no one trained on:
text → ECG by every superclass and statement with at least ten positives, ECG → ECG by shared superclass, other patients only.
A German name finds the same, as it is a name of the same concept: what differs by language, `ecgclip eval retrieval` measures.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.evaluate.metrics import RESAMPLES
from ecgclip.evaluate.results import cases_hash
from ecgclip.files import code_version, write_json
from ecgclip.index.archive import ECGIndex

FOLD, K, LEAST = 9, 10, 10


def interval(values: list[float]) -> list[float]:
    """Mean with its 95 % interval over resampled queries."""
    rng, x = np.random.default_rng(0), np.array(values)
    means = x[rng.integers(0, len(x), (RESAMPLES, len(x)))].mean(1)
    return [round(float(v), 4) for v in (x.mean(), *np.quantile(means, [0.025, 0.975]))]


def main(data: Path, folder: Path, out: Path) -> None:
    started = time.time()
    index = ECGIndex.build([data / "records100"], folder)
    seconds = time.time() - started
    if index.last.unchanged:
        seconds = None  # it was there
    cases = ptb_xl(data, index.model.kb, folds=[FOLD])
    truth = {str(Path(c.path)): c.annotated for c in cases}
    # of some records only a part of the statements is known: there, what is not known is neither right nor wrong
    known = {str(Path(c.path)): c.annotated | c.statements.keys() for c in cases}
    counts = {c: sum(c in a for a in truth.values()) for c in sorted(set().union(*truth.values()))}
    rows = []
    for concept, positives in counts.items():
        if positives < LEAST:
            continue
        row = {
            "concept": concept,
            "positives": positives,
            "chance": round(positives / sum(concept in k for k in known.values()), 4),
            "best": min(positives / K, 1.0),
        }
        hits = index.search(index.model.kb.concepts[concept].name, k=len(cases), where=f"strat_fold = {FOLD}")
        judged = [hit.record for hit in hits if concept in known[hit.record]]
        row["precision_at_10"] = sum(concept in truth[record] for record in judged[:K]) / K
        rows.append(row)
    similar = []
    for case in cases:
        classes = case.annotated & set(SUPERCLASSES.values())
        if classes:
            hits = index.search(
                like=case.path, k=K, where=f"strat_fold = {FOLD} AND patient_id <> {float(case.patient)}"
            )
            similar.append((np.mean([bool(classes & truth[hit.record]) for hit in hits]), classes))
    share = [np.mean([bool(classes & a) for a in truth.values()]) for _, classes in similar]
    write_json(
        out / "results.json",
        {
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
                "precision_at_10": interval([r["precision_at_10"] for r in rows]),
                "chance": round(float(np.mean([r["chance"] for r in rows])), 4),
                "best": round(float(np.mean([r["best"] for r in rows])), 4),
            },
            "ecg_to_ecg": {
                "precision_at_10": interval([p for p, _ in similar]),
                "chance": round(float(np.mean(share)), 4),
                "queries": len(similar),
            },
            "labels": rows,
        },
    )
    print(
        json.dumps({k: v for k, v in json.loads((out / "results.json").read_text()).items() if k != "labels"}, indent=1)
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
