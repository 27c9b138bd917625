"""Train on a folder of one's own: WFDB records whose headers have a `#Dx` line.

    python examples/train_on_folder.py FOLDER OUT

Without arguments it makes a toy folder of simulated records and trains a tiny model on it, in about a minute.
Needs `pip install "ecgclip[train]"`.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import ecgclip
from ecgclip.files import asset_path
from ecgclip.simulate import simulate, write_record
from ecgclip.train import Recipe, train_clip, train_ecg, train_text

DX = {"normal": "426783006", "af": "164889003", "lbbb": "733534002", "sinus-tachycardia": "427084000"}


def toy_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for condition, code in DX.items():
        for seed in range(16):
            header = Path(write_record(simulate(condition, seed), folder / f"{condition}{seed}"))
            header.write_text(header.read_text() + f"#Dx: {code}\n")
    return folder


def main() -> None:
    temporary = Path(tempfile.mkdtemp())
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else toy_folder(temporary / "records")
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else temporary / "run"
    default = Recipe.load(asset_path("recipes/default.yaml"))
    recipe = replace(
        default,
        name="folder",
        data={"folder": {"path": folder.name, "per_step": 32}},
        ecg_pretraining={**default.ecg_pretraining, "data": ["folder"], "epochs": 5},
        epochs=5,
        locked={**default.locked, "epochs": 5},
        measured={**default.measured, "epochs": 10},
        teacher={**default.teacher, "trees": 20},
        text={"vocabulary": 2000, "layers": 1, "width": 64},
        ecg={"channels": [16, 32, 48], "width": 64},
    )
    text = train_text(recipe, folder.parent, out / "text")
    ecg = train_ecg(recipe, folder.parent, out / "ecg")
    weights = train_clip(recipe, folder.parent, text, out / "clip", ecg=ecg)
    model = ecgclip.load_model(weights)
    record = ecgclip.find_records(folder)[0]
    print(record, {s.label: round(s.probability, 2) for s in model.classify(record, ["AF", "LBBB", "STACH"]).scores})
    print("weights:", weights)


if __name__ == "__main__":
    main()
