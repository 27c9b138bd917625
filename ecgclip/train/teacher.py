"""A teacher for training: the probability of each statement, by trees over the measurements.

On a few thousand ECGs, trees over what `measure` finds do better than a network over signals. So the target of the
statements is in part what was coded and in part the trees' opinion (distillation, Hinton et al. 2015), which is there
even where the statement is unknown. No tree judges an ECG that it has seen: the opinion is that of the trees whose
sample left the ECG out.
"""

from __future__ import annotations

import numpy as np

NOT_MEASURED = -99.0  # below all that is measured, so that a tree can ask for it


def opinions(features: np.ndarray, truth: np.ndarray, trees: int, seed: int, min_examples: int = 5) -> np.ndarray:
    """The probability of each statement from the measurements.

    Parameters
    ----------
    features : float32 (n, features)
        Measurements, NaN = unknown.
    truth : int8 (n, statements)
        1 present, 0 absent, -1 unknown.
    trees, seed : int
        How many trees for each statement, and the seed of their samples.
    min_examples : int
        ECGs that must have a statement, and as many that must lack it.

    Returns
    -------
    float32 (n, statements)
        NaN for a statement with too few examples.
    """
    from rich.progress import track
    from sklearn.ensemble import ExtraTreesClassifier

    features = np.nan_to_num(features, nan=NOT_MEASURED)
    soft = np.full(truth.shape, np.nan, np.float32)
    enough = ((truth == 1).sum(0) >= min_examples) & ((truth == 0).sum(0) >= min_examples)
    for j in track(np.flatnonzero(enough), "teacher"):
        known = truth[:, j] >= 0
        forest = ExtraTreesClassifier(
            trees, min_samples_leaf=3, max_features=0.3, bootstrap=True, oob_score=True, n_jobs=-1, random_state=seed
        ).fit(features[known], truth[known, j])
        soft[~known, j] = forest.predict_proba(features[~known])[:, 1] if (~known).any() else ()
        out_of_bag = forest.oob_decision_function_[:, 1]
        # NaN: in the sample of every tree, which happens with few trees
        soft[known, j] = np.where(np.isnan(out_of_bag), truth[known, j], out_of_bag)
    return soft
