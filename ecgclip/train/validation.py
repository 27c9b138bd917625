"""Scores of the validation split, to monitor training and to choose by."""

from __future__ import annotations

import copy
import math

import numpy as np

from ecgclip.data.windows import Windows
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.model.clip import ECGCLIP
from ecgclip.networks.config import ECGFeatures
from ecgclip.train.sources import Splits
from ecgclip.train.targets import targets


def embed_windows(model: ECGCLIP, windows: Windows, rows: np.ndarray | None = None) -> np.ndarray:
    """Rhythm vectors, float32 (rows, dim), of windows; rows: which of them, None: all."""
    return encode_windows(model, windows, rows).rhythm.numpy()


def encode_windows(
    model: ECGCLIP, windows: Windows, rows: np.ndarray | None = None, measured: bool = True
) -> ECGFeatures:
    """All that the ECG encoder gives for windows, on the CPU; measured=False: from the signal alone."""
    rows = np.arange(len(windows)) if rows is None else rows
    model.eval()
    inputs = [windows.signal, windows.mask, windows.r_peaks, windows.length]
    if measured:
        inputs.append(windows.measured(0, model.config.ecg.demographics))
    return ECGFeatures.cat(list(model.encode_windows(inputs, np.array_split(rows, max(1, len(rows) // 64)))))


def validation_prompts(model: ECGCLIP, held_out: Splits, min_cases: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """What is known of the held-out windows, and the enriched prompts of the same concepts.

    Concepts count that at least `min_cases` windows have, and as many lack.

    Returns
    -------
    int8 (windows, concepts)
        1 present, 0 absent, -1 unknown.
    float32 (concepts, dim)
    """
    split = next(iter(held_out.values()))
    concepts = tuple(sorted({c for case in split.cases for c in case.statements}))
    truth = targets(split.cases, split.windows, concepts)
    enough = ((truth == 1).sum(0) >= min_cases) & ((truth == 0).sum(0) >= min_cases)
    chosen = [concepts[j] for j in np.flatnonzero(enough)]
    if not chosen:  # a small folder
        return truth[:, enough], np.zeros((0, model.config.ecg.dim), np.float32)
    asking = copy.copy(model)  # the same weights, of which only these passages are embedded
    asking.set_knowledge(KnowledgeBase({c: model.kb.concepts[c] for c in chosen}, model.kb.sources, ""))
    return truth[:, enough], np.stack([asking.concept_vector(c) for c in chosen])


def macro_auroc(similarity: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the concepts that some windows have and some lack; NaN without any.

    similarity, truth : (windows, concepts), truth 1 present, 0 absent, -1 unknown
    """
    from sklearn.metrics import roc_auc_score

    both = (truth == 1).any(0) & (truth == 0).any(0)
    columns = [(s[t >= 0], t[t >= 0]) for s, t in zip(similarity.T[both], truth.T[both], strict=True)]
    return float(np.mean([roc_auc_score(t, s) for s, t in columns])) if columns else math.nan


def validation_auroc(model: ECGCLIP, held_out: Splits, measured: bool = True) -> float:
    """Macro AUROC of the enriched prompts; measured=False: of the signal alone."""
    model.eval()
    truth, prompts = validation_prompts(model, held_out)
    vectors = encode_windows(model, next(iter(held_out.values())).windows, measured=measured).rhythm.numpy()
    return macro_auroc(vectors @ prompts.T, truth)
