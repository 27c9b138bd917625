"""Classify a record by words:  python examples/classify.py"""

from pathlib import Path

import ecgclip

record = Path(__file__).parent / "records" / "af.hea"
model = ecgclip.load_model()
result = model.classify(record, labels=["AF", "STEMI", "Linksschenkelblock", "normal ECG"])
for score in result.scores:
    print(f"{score.label:20} {score.probability:.2f}   {score.concept}")

# the evidence behind one answer
for passage in result["AF"].passages:
    print("  ", passage.text, f"[{model.kb.sources[passage.source].title}]" if passage.source else "")

# an array of one's own, any lead subset: signal float32 (leads, samples) in mV
ecg = ecgclip.read_ecg(record)
lead_one = ecgclip.ECG(ecg.signal[:1], ecg.sampling_rate, ("I",))
print("from lead I alone:", round(model.classify(lead_one, ["AF"])["AF"].probability, 2))
