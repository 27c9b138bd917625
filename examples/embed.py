"""ECGs and texts in one space, for one's own search or classifier:  python examples/embed.py"""

from pathlib import Path

import ecgclip

records = sorted((Path(__file__).parent / "records").glob("*.hea"))
model = ecgclip.load_model()
ecgs = model.embed_ecg(records)  # float32 (records, dim), unit length
texts = ["atrial fibrillation", "Linksschenkelblock", "premature ventricular beats"]
similarity = model.embed_text(texts) @ ecgs.T
for text, row in zip(texts, similarity, strict=True):
    print(f"{text:35} closest: {records[row.argmax()].stem}")
