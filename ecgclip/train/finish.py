"""After training: what is fitted on the validation split, and saving."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ecgclip.data.sets import DATA_SETS
from ecgclip.data.splits import patient_folds
from ecgclip.model.clip import ECGCLIP
from ecgclip.train.calibrate import (
    calibrate,
    calibrate_simulated,
    choose_threshold,
    cross_fit,
    cross_fitted,
    cross_fitted_f1,
    examples,
    reliability,
    simulated_examples,
)
from ecgclip.train.floor import choose_floor
from ecgclip.train.loop import device_of
from ecgclip.train.pretrained import Pretrained
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, Splits, data_hash, split_records, trained_concepts
from ecgclip.train.validation import embed_windows, encode_windows, macro_auroc, validation_auroc, validation_prompts
from ecgclip.train.witnesses import Simulated, all_real_evidences, fit_criteria

SIGNAL_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # tried
REFERENCE = 512  # windows of the reference bank


def finish(
    model: ECGCLIP,
    recipe: Recipe,
    splits: Splits,
    held_out: Splits,
    data: Path,
    out: Path,
    seconds: float,
    version: str,
    pretrained: Pretrained | None = None,
) -> None:
    """Fit what a trained model needs to answer, and save it to `out`/model.

    In this order, as each depends on what is before: the signal's weight, the knowledge base's vectors, the reference
    bank, what training had, floor and calibration, the threshold of a description.

    Parameters
    ----------
    model : ECGCLIP
        Changed in place; its matrices are rounded to half precision.
    splits, held_out : dict
        Training and validation windows.
    seconds, version
        How long training took, and the version of the code that did it.
    pretrained : Pretrained, optional
        The backbone that training began with.
    """
    model.eval()
    model.round_matrices()  # before anything is fitted: these are the weights that will be loaded
    figures = weigh_signal(model, held_out)
    model.set_knowledge(model.kb)
    model.reference = _reference_bank(model, splits[recipe.main], recipe.seed)
    training: dict[str, Any] = {
        "recipe": asdict(recipe),
        "code_version": version,
        "seconds": round(seconds),
        "data_sha256": data_hash(recipe, data),
        "split": split_records(recipe, splits, held_out),
        "concepts": sorted(trained_concepts(splits) & model.kb.concepts.keys()),
    }
    if pretrained:
        split = pretrained.merged(training["split"])
        training |= {"ecg_pretraining": pretrained.record, "split": split}
    model.config = replace(model.config, training=training)  # prompts depend on it, and calibration on prompts
    calibrate_model(model, splits, held_out, figures)
    model.save(out / "model")


def calibrate_model(model: ECGCLIP, splits: Splits, held_out: Splits, figures: dict[str, Any]) -> None:
    """Choose floor, curve, witnesses and threshold, and keep what cross-fitting says of them beside `figures`.

    Parameters
    ----------
    model : ECGCLIP
        Its config is replaced.
    splits, held_out : dict
        Training and validation windows.
    figures : dict
        What `weigh_signal` returned.
    """
    simulated = Simulated.of(sampling_rate=model.config.ecg.sampling_rate)
    criteria = fit_criteria(
        all_real_evidences(model.kb, splits), simulated.evidences(model.kb, simulated.concepts(model.kb))
    )
    foreign = simulated_examples(model, simulated, model.config.trained_concepts or ())
    curve, witnesses = calibrate(examples(model, held_out), foreign, criteria)
    model.config = replace(model.config, floor=choose_floor(model), calibration=curve, witnesses=witnesses)
    if trained_on_simulated(model):
        learn_from_simulated(model, held_out, simulated)
    answers = cross_fit(model, held_out, foreign, criteria)
    measured = cross_fitted(model, held_out, answers)
    ece = measured["ece"][0] if measured else float("nan")
    figures = figures | {"ece": ece, "f1": cross_fitted_f1(model, held_out, answers)}
    rounded = {k: v if isinstance(v, list) else _rounded(v) for k, v in figures.items()}
    print("cross-fitted on validation:", rounded)
    training = model.config.training | {"cross_fitted": rounded}
    threshold = choose_threshold(model, held_out, answers)
    model.config = replace(model.config, threshold=threshold, reliability=reliability(measured), training=training)


def trained_on_simulated(model: ECGCLIP) -> bool:
    """Whether training had simulated ECGs."""
    return any(DATA_SETS[source].made for source in model.config.training["recipe"]["data"])


def learn_from_simulated(model: ECGCLIP, held_out: Splits, simulated: Simulated) -> None:
    """Fit how the model answers for the conditions that training had only simulated ECGs of; its config is replaced."""
    concepts = [c for c in simulated.concepts(model.kb) if c not in (model.config.trained_concepts or ())]
    witnesses = model.config.witnesses
    assert witnesses is not None
    curve, mix = calibrate_simulated(model, held_out, simulated, concepts, witnesses)
    training = model.config.training | {"simulated": concepts}
    witnesses = replace(witnesses, simulated=mix)
    model.config = replace(model.config, simulated=curve, witnesses=witnesses, training=training)


def weigh_signal(model: ECGCLIP, held_out: Splits) -> dict[str, Any]:
    """Set the weight of the signal beside the measurements to the best one on the validation split.

    Returns
    -------
    dict
        auroc: cross-fitted, each fold of patients with the weight that the others choose; signal_weights: these
        weights. Of a model without measurements the AUROC alone.
    """
    if model.ecg.measured is None:
        return {"auroc": validation_auroc(model, held_out)}
    split = next(iter(held_out.values()))
    folds = patient_folds([split.cases[i] for i in split.windows.case])
    similarity, truth = weighted_similarity(model, held_out)
    scores = weight_scores(similarity, truth)
    signal_weight: Any = model.ecg.signal_weight  # a buffer, which the type checker takes for a module
    signal_weight.fill_(SIGNAL_WEIGHTS[int(np.argmax(scores))])
    print("validation by the signal's weight:", dict(zip(SIGNAL_WEIGHTS, scores.round(4).tolist(), strict=True)))
    cross_fitted, chosen = similarity[0, 0].copy(), []
    for k in range(folds.max() + 1):
        best = int(np.argmax(weight_scores(similarity[:, :, folds != k], truth[folds != k])))
        cross_fitted[folds == k] = similarity[best, 0, folds == k]
        chosen.append(SIGNAL_WEIGHTS[best])
    return {"auroc": macro_auroc(cross_fitted, truth), "signal_weights": chosen}


def weight_scores(similarity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The AUROC of each weight, half of it from all leads and half from subsets of them; 0 where there is none.

    similarity : (weights, variants, windows, concepts), the first variant with all leads
    truth : (windows, concepts)
    """
    scores = np.array([[macro_auroc(s, truth) for s in variants] for variants in similarity])
    return np.nan_to_num((scores[:, 0] + scores[:, min(1, scores.shape[1] - 1) :].mean(1)) / 2)


@torch.no_grad()
def weighted_similarity(model: ECGCLIP, held_out: Splits) -> tuple[np.ndarray, np.ndarray]:
    """Similarity (SIGNAL_WEIGHTS, lead subsets, windows, concepts) of the validation windows, and their truth."""
    windows, (truth, prompts) = next(iter(held_out.values())).windows, validation_prompts(model, held_out)
    similarity = np.zeros((len(SIGNAL_WEIGHTS), windows.leads.shape[1], *truth.shape), np.float32)
    branch = model.ecg.measured
    assert branch is not None
    model.eval()
    for variant in range(windows.leads.shape[1]):
        of_variant = replace(windows, mask=windows.leads[:, variant])
        signal = encode_windows(model, of_variant, measured=False).rhythm
        inputs = windows.measured(variant, model.config.ecg.demographics)
        measured = branch(torch.tensor(inputs, device=device_of(model))).cpu()
        for i, weight in enumerate(SIGNAL_WEIGHTS):
            similarity[i, variant] = F.normalize(measured + weight * signal, dim=-1).numpy() @ prompts.T
    return similarity, truth


def _reference_bank(model: ECGCLIP, split: Split, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).permutation(len(split.windows))[:REFERENCE]
    return embed_windows(model, split.windows, rows)


def _rounded(figure: float) -> float | None:
    """For JSON, which has no NaN."""
    return None if math.isnan(figure) else round(figure, 4)
