"""What is fitted after training, and saving."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ecgclip.data.splits import patient_folds
from ecgclip.model.clip import ECGCLIP
from ecgclip.train.loop import _device, _rounded
from ecgclip.train.recipe import Recipe
from ecgclip.train.sources import Split, data_hash, learnt_from, trained_concepts
from ecgclip.train.validation import embed_windows, encode_windows, macro_auroc, validation_auroc, validation_prompts

SIGNAL_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)  # tried


def weigh_signal(model: ECGCLIP, held_out: dict[str, Split]) -> dict[str, Any]:
    """Weigh the signal beside the measurements, by the validation split → what to keep of it.

    auroc: cross-fitted, each fold of patients by the weight (signal_weights) that the others choose.
    """
    if model.ecg.measured is None:
        return {"auroc": validation_auroc(model, held_out)}
    split = next(iter(held_out.values()))
    folds = patient_folds([split.cases[i] for i in split.windows.case])
    similarity, truth = weighted_similarity(model, held_out)
    scores = weight_scores(similarity, truth)
    model.ecg.signal_weight.fill_(SIGNAL_WEIGHTS[int(np.argmax(scores))])
    print("validation by the signal's weight:", dict(zip(SIGNAL_WEIGHTS, scores.round(4).tolist(), strict=True)))
    apart, chosen = similarity[0, 0].copy(), []
    for k in range(folds.max() + 1):
        best = int(np.argmax(weight_scores(similarity[:, :, folds != k], truth[folds != k])))
        apart[folds == k] = similarity[best, 0, folds == k]
        chosen.append(SIGNAL_WEIGHTS[best])
    return {"auroc": macro_auroc(apart, truth), "signal_weights": chosen}


def signal_weights(model: ECGCLIP, held_out: dict[str, Split]) -> dict[float, float]:
    """Weight of the signal beside the measurements → validation AUROC, half of it from all leads, half from subsets of them."""
    return dict(zip(SIGNAL_WEIGHTS, weight_scores(*weighted_similarity(model, held_out)).tolist(), strict=True))


def weight_scores(similarity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """similarity (weights, variants, windows, concepts), truth (windows, concepts) → AUROC of each weight; 0 where there is none."""
    scores = np.array([[macro_auroc(s, truth) for s in variants] for variants in similarity])
    return np.nan_to_num((scores[:, 0] + scores[:, min(1, scores.shape[1] - 1) :].mean(1)) / 2)


@torch.no_grad()
def weighted_similarity(model: ECGCLIP, held_out: dict[str, Split]) -> tuple[np.ndarray, np.ndarray]:
    """→ (SIGNAL_WEIGHTS, lead subsets, windows, concepts) of the validation windows, and their truth."""
    windows, (truth, prompts) = next(iter(held_out.values())).windows, validation_prompts(model, held_out)
    similarity = np.zeros((len(SIGNAL_WEIGHTS), windows.leads.shape[1], *truth.shape), np.float32)
    model.eval()
    for variant in range(windows.leads.shape[1]):
        some = replace(windows, mask=windows.leads[:, variant])
        signal = encode_windows(model, some, measured=False).rhythm
        measured = model.ecg.measured(torch.tensor(windows.features[:, variant], device=_device(model))).cpu()
        for i, weight in enumerate(SIGNAL_WEIGHTS):
            similarity[i, variant] = F.normalize(measured + weight * signal, dim=-1).numpy() @ prompts.T
    return similarity, truth


def finish(
    model: ECGCLIP,
    recipe: Recipe,
    splits: dict[str, Split],
    held_out: dict[str, Split],
    data: Path,
    out: Path,
    seconds: float,
    version: str,
) -> None:
    """Weigh the signal, embed the knowledge base, draw the reference bank, choose the floor, calibrate by the validation split, save."""
    from ecgclip.train.calibrate import calibrate, choose_floor, choose_threshold, cross_fit, cross_fitted_f1

    model.eval()
    model.round_matrices()  # before anything is fitted: these are the weights that will be loaded
    figures = weigh_signal(model, held_out)
    model.set_knowledge(model.kb)
    main = splits[recipe.main]
    rows = np.random.default_rng(recipe.seed).permutation(len(main.windows))[:512]
    model.reference = embed_windows(model, main.windows, rows)
    facts = {
        "recipe": asdict(recipe),
        "code_version": version,
        "seconds": round(seconds),
        "data_sha256": data_hash(recipe, data),
        "split": learnt_from(recipe, splits, held_out),
        "concepts": sorted(trained_concepts(splits) & model.kb.concepts.keys()),
    }
    model.config = replace(model.config, training=facts)  # prompts depend on it, and calibration on prompts
    model.config = replace(model.config, floor=choose_floor(model), calibration=calibrate(model, held_out))
    curves, figures["ece"] = cross_fit(model, held_out)
    figures["f1"] = cross_fitted_f1(model, held_out, curves)
    facts["cross_fitted"] = {k: v if isinstance(v, list) else _rounded(v) for k, v in figures.items()}
    print("cross-fitted on validation:", facts["cross_fitted"])
    threshold = choose_threshold(model, held_out, curves)
    model.config = replace(model.config, threshold=threshold, training=facts)
    model.save(out / "model")
