"""Score a record with what `ecgclip export onnx -o DIR` wrote, by numpy and onnxruntime, without torch.

python examples/onnx_score.py DIR examples/records/af.hea AF STEMI
"""

import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnxruntime

from ecgclip import KnowledgeBase, read_ecg
from ecgclip.knowledge.criteria import Judge, Readings
from ecgclip.measure import Examined, examine
from ecgclip.model import Embedding, ModelConfig, Prompt
from ecgclip.model.calibration import Bank
from ecgclip.model.inputs import encoder_inputs
from ecgclip.model.scoring import Scorer

folder, record, labels = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
constants = json.loads((folder / "ecgclip.json").read_text(encoding="utf-8"))
kb = KnowledgeBase.from_dict(json.loads((folder / "knowledge_base.json").read_text(encoding="utf-8")))
arrays, config = np.load(folder / "labels.npz"), ModelConfig.from_dict(constants["config"])
vectors = {label["id"]: vector for label, vector in zip(constants["labels"], arrays["vectors"], strict=True)}

# record → windows, R peaks and measurements → vectors
examined = examine(read_ecg(record), constants["preparation"]["sampling_rate_hz"])
metadata = [examined.metadata] * len(examined.measurements) if config.ecg.demographics else None
inputs = encoder_inputs(examined.prepared, examined.r_peaks, examined.measurements, metadata)
session = onnxruntime.InferenceSession(folder / "ecg.onnx", providers=["CPUExecutionProvider"])
rhythm, beats = session.run(["rhythm", "beats"], inputs)

# vectors and criteria → probabilities, as `ecgclip classify` gives them
values = {f.name: getattr(examined, f.name) for f in fields(Examined)}
embedding = Embedding(**values, rhythm=rhythm, beats=tuple(beats))
judge = Judge(Readings.of_records_and_windows([embedding]), kb.concepts)
prompts = []
for label in labels:
    if not (concept := kb.find(label)):
        sys.exit(f"{label}: not in the knowledge base")
    prompts.append(Prompt(label, vectors[concept.id], concept, ()))
scorer = Scorer(config, Bank(arrays["reference"]), kb, vectors.__getitem__)
(result,) = scorer.score([embedding], prompts, judge)
for score in result.scores:
    print(f"{score.label}: {score.probability:.3f} (by the vector alone {score.by_vector:.3f})")
