"""How vector and criteria of a trained condition mix, from a model that has never seen a simulated ECG.

    python benchmarks/ablations.py train $ECGCLIP_DATA runs/ablations "no simulated ECGs" --seeds 1
    python benchmarks/mix.py $ECGCLIP_DATA runs/ablations/no-simulated-ECGs-0/model MODEL

Training fits the mix on validation ECGs, and on simulated ones for the ECGs of a hospital that the model does not know.
A model that was trained on simulated ECGs knows them: its mix would leave the criteria out, which a foreign hospital
needs. So it is given that of a model to which they are foreign. Then its threshold is chosen anew. Only config.json of
MODEL is written.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from ecgclip import load_model
from ecgclip.files import write_atomic
from ecgclip.train.calibrate import choose_threshold, cross_fit, cross_fitted_f1, simulated_examples
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import load_split
from ecgclip.train.witnesses import Simulated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("foreign", type=Path, help="a model that was trained without simulated ECGs")
    parser.add_argument("model", type=Path, help="the folder of the model to change")
    args = parser.parse_args()
    model, foreign = load_model(args.model), load_model(args.foreign)
    assert model.config.witnesses is not None
    assert foreign.config.witnesses is not None
    mix = foreign.config.witnesses.trained
    held_out = load_split(Recipe(**model.config.training["recipe"]), args.data, model.kb, validation=True)
    simulated = simulated_examples(model, Simulated.of(), model.config.trained_concepts or ())
    answers, _ = cross_fit(model, held_out, simulated, model.config.witnesses)
    answers = [(curve, replace(witnesses, trained=mix)) for curve, witnesses in answers if witnesses]
    threshold, f1 = choose_threshold(model, held_out, answers), cross_fitted_f1(model, held_out, answers)
    cross_fitted = model.config.training["cross_fitted"] | {"f1": round(f1, 4)}
    training = model.config.training | {
        "cross_fitted": cross_fitted,
        "mix": "of a model without simulated ECGs (benchmarks/mix.py)",
    }
    witnesses = replace(model.config.witnesses, trained=mix)
    model.config = replace(
        model.config, witnesses=witnesses, threshold=threshold, training=model.config.training | told
    )
    write_atomic(args.model / "config.json", json.dumps(asdict(model.config), indent=1))
    print(json.dumps({"mix": mix, "threshold": threshold, "f1": f1}))


if __name__ == "__main__":
    main()
