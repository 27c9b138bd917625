"""Whether the model recognises simulated conditions.  python benchmarks/simulated.py results/simulated

The simulator's records are no part of the training. Each condition is asked for by name among the records of all:
AUROC, and the median probability of the records with the condition and of those without it.
"""

import sys
from pathlib import Path

import numpy as np

from ecgclip import load_model
from ecgclip.evaluate.metrics import Labels, label_table
from ecgclip.evaluate.vectors import BATCH
from ecgclip.files import code_version, write_json
from ecgclip.simulate import simulate

SEEDS = range(100, 120)
# The simulator's conditions, and what they are asked with; the others are a normal ECG with noise or without a lead
ASKED = {
    "normal": "normal ECG",
    "af": "atrial fibrillation",
    "flutter": "atrial flutter",
    "sinus-tachycardia": "sinus tachycardia",
    "sinus-bradycardia": "sinus bradycardia",
    "first-degree-av-block": "first-degree AV block",
    "complete-av-block": "complete AV block",
    "lbbb": "left bundle branch block",
    "rbbb": "right bundle branch block",
    "pvc": "PVC",
    "paced": "paced rhythm",
    "lvh": "left ventricular hypertrophy",
    "anterior-stemi": "anterior STEMI",
    "inferior-stemi": "inferior STEMI",
    "lateral-stemi": "lateral STEMI",
}


def main(out: Path) -> None:
    model = load_model()
    conditions = [condition for condition in ASKED for _ in SEEDS]
    ecgs = [simulate(condition, seed) for condition in ASKED for seed in SEEDS]
    parts = [model.embed_many(ecgs[i : i + BATCH]) for i in range(0, len(ecgs), BATCH)]
    ecg_vectors = np.stack([embedding.rhythm.mean(0) for part in parts for embedding in part])
    prompts = [model.prompt(label) for label in ASKED.values()]
    text_vectors = np.stack([p.vector for p in prompts])
    similarity = ecg_vectors @ text_vectors.T
    probability = model.config.calibration(similarity, model.reference @ text_vectors.T)
    truth = np.array([[condition == asked for asked in ASKED] for condition in conditions], np.int8)
    labels = Labels(list(ASKED.values()), [p.concept.id for p in prompts], {})
    rows, macro = label_table(similarity, truth, np.arange(len(ecgs)), labels, min_positives=1, seed=0)
    for j, (row, condition) in enumerate(zip(rows, ASKED, strict=True)):
        row["condition"] = condition
        row["median_probability"] = [round(float(np.median(probability[truth[:, j] == t, j])), 3) for t in (1, 0)]
    results = {
        "task": "simulated",
        "weights_sha256": model.weights_sha256,
        "code_version": code_version(),
        "seeds": [*SEEDS],
        "macro": macro,
        "labels": rows,
    }
    write_json(out / "results.json", results)
    for row in rows:
        print(f"{row['condition']:24}", row["auroc"], row["median_probability"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
