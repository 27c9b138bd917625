"""How vector and criteria of a trained condition mix, at home and in a hospital that the model does not know.

    python benchmarks/ablations.py train $ECGCLIP_DATA runs/ablations "no simulated ECGs" --seeds 1
    python benchmarks/mix.py $ECGCLIP_DATA runs/ablations/no-simulated-ECGs-0/model MODEL

Training fits the mix on validation ECGs, and on simulated ones for those of a foreign hospital. A model that was
trained on simulated ECGs knows them, so its mix leaves out the criteria that a foreign hospital needs. Here the
simulated ECGs are scored by a model that has never seen one, and the validation ECGs by MODEL itself. Then the
threshold of descriptions is chosen and the reliability measured anew. Only config.json of MODEL is written.
"""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ecgclip import load_model
from ecgclip.files import write_atomic
from ecgclip.train.calibrate import (
    choose_threshold,
    cross_fit,
    cross_fitted,
    cross_fitted_f1,
    examples,
    reliability,
    simulated_examples,
)
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import load_split
from ecgclip.train.witnesses import SIMULATED_SHARE, Simulated, fit_mix, shared_weight


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("foreign", type=Path, help="a model that was trained without simulated ECGs")
    parser.add_argument("model", type=Path, help="the folder of the model to change")
    args = parser.parse_args()
    model, foreign = load_model(args.model), load_model(args.foreign)
    witnesses = model.config.witnesses
    assert witnesses is not None
    held_out = load_split(Recipe(**model.config.training["recipe"]), args.data, model.kb, validation=True)
    simulated, trained = Simulated.of(), model.config.trained_concepts or ()
    rows = []
    for asked, known in (
        (model, examples(model, held_out)),
        (foreign, simulated_examples(foreign, simulated, trained)),
    ):
        use = known.evidence.measured & (known.truth >= 0)
        by_vector = asked.config.calibration.curve(known.features)
        rows.append((by_vector[use], known.evidence.features[use], known.truth[use]))
    weight = shared_weight(len(rows[0][0]), len(rows[1][0]), SIMULATED_SHARE)
    witnesses = replace(witnesses, trained=fit_mix(witnesses, *map(np.concatenate, zip(*rows, strict=True)), weight))
    answers = cross_fit(model, held_out, simulated_examples(model, simulated, trained), witnesses)
    answers = [(curve, witnesses) for curve, _ in answers]
    threshold, f1 = choose_threshold(model, held_out, answers), cross_fitted_f1(model, held_out, answers)
    told = {"cross_fitted": model.config.training["cross_fitted"] | {"f1": round(f1, 4)}, "mix": "benchmarks/mix.py"}
    training = model.config.training | told
    model.config = replace(
        model.config,
        witnesses=witnesses,
        threshold=threshold,
        reliability=reliability(cross_fitted(model, held_out, answers)),
        training=training,
    )
    write_atomic(args.model / "config.json", json.dumps(asdict(model.config), indent=1))
    print(json.dumps({"mix": witnesses.trained, "threshold": threshold, "f1": f1}))


if __name__ == "__main__":
    main()
