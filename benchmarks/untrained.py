"""How often a normal ECG gets a high probability of a condition that training never had.

    python benchmarks/untrained.py $ECGCLIP_DATA/ptb-xl results/untrained [MODEL]

Of fold 9's records that are annotated as a normal ECG: the share with any such condition, if a normal ECG excludes it,
at a probability of at least one half, and the conditions for which that happens most often. MODEL: a folder; by default
the shipped weights.
"""

import sys
from pathlib import Path

import numpy as np

from ecgclip import load_model
from ecgclip.data.ptb_xl import ptb_xl
from ecgclip.evaluate.bootstrap import interval, patient_draws, record_weights
from ecgclip.evaluate.results import cases_hash
from ecgclip.evaluate.truth import patient_numbers
from ecgclip.evaluate.vectors import embed_cases
from ecgclip.files import code_version, write_json

FOLD = 9
CLAIMED = 0.5  # the probability from which on a condition counts as claimed


def main(data: Path, out: Path, weights: Path | None = None) -> None:
    model = load_model(weights)
    trained = model.config.training["concepts"]
    excluded = model.kb.excluded("normal-ecg")  # a normal axis, for one, may be claimed
    conditions = [c for c in model.kb.concepts.values() if c.category != "beat" and c.id in excluded]
    untrained = [c for c in conditions if c.id not in trained]
    prompts = [model.prompt(c.name, concept=c.id) for c in untrained]
    normal = [case for case in ptb_xl(data, model.kb, folds=[FOLD]) if "normal-ecg" in case.annotated]
    embeddings, normal = embed_cases(model, normal)
    probability = np.array([[s.probability for s in model.score(e, prompts).scores] for e in embeddings])
    claimed = probability >= CLAIMED  # (records, conditions)
    patients = patient_numbers(normal)
    sampled = record_weights(patient_draws(patients, 0), patients)

    def share(chosen: np.ndarray) -> list[float]:
        """The share of the records that are chosen, bool (records,), with its interval by patient."""
        return interval(sampled @ chosen / sampled.sum(1))

    rows = [{"condition": c.id, "share": share(claimed[:, j])} for j, c in enumerate(untrained) if claimed[:, j].any()]
    results = {
        "task": "untrained",
        "dataset": "ptb-xl",
        "fold": FOLD,
        "records": len(normal),
        "patients": int(patients.max()) + 1,
        "conditions": len(untrained),
        "probability": CLAIMED,
        "any": share(claimed.any(1)),
        "claimed": sorted(rows, key=lambda row: -row["share"][0]),
        "weights_sha256": model.weights_sha256,
        "data_sha256": cases_hash(normal),
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
    }
    write_json(out / "results.json", results)
    print(f"any of {len(untrained)} conditions in {len(normal)} normal ECGs:", results["any"])
    for row in results["claimed"][:10]:
        print(f"{row['condition']:40}", row["share"])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
