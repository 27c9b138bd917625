"""A teacher for training: what trees over the measurements make of every ECG, statement by statement.

On a few thousand ECGs, trees over what `measure` finds are better than any network over signals. So the rhythm vector learns half
from the cardiologist's statements and half from the trees' opinion (distillation, Hinton et al. 2015), which also has one where the
statement is unknown. A tree never judges an ECG that it has seen: the opinion is that of the trees whose sample left the ECG out.
"""

from __future__ import annotations

import numpy as np

NOT_MEASURED = -99.0  # below all that is measured, so that a tree can ask for it


def opinions(features: np.ndarray, truth: np.ndarray, trees: int, seed: int, least: int = 5) -> np.ndarray:
    """features float32 (n, features), NaN = unknown; truth int8 (n, statements), 1 present, 0 absent, -1 unknown.

    → probabilities, float32 (n, statements); NaN for a statement with fewer than `least` ECGs on either side.
    """
    from rich.progress import track
    from sklearn.ensemble import ExtraTreesClassifier

    features = np.nan_to_num(features, nan=NOT_MEASURED)
    soft = np.full(truth.shape, np.nan, np.float32)
    enough = ((truth == 1).sum(0) >= least) & ((truth == 0).sum(0) >= least)
    for j in track(np.flatnonzero(enough), "teacher"):
        known = truth[:, j] >= 0
        forest = ExtraTreesClassifier(
            trees, min_samples_leaf=3, max_features=0.3, bootstrap=True, oob_score=True, n_jobs=-1, random_state=seed
        ).fit(features[known], truth[known, j])
        soft[~known, j] = forest.predict_proba(features[~known])[:, 1] if (~known).any() else ()
        unseen = forest.oob_decision_function_[:, 1]
        soft[known, j] = np.where(np.isnan(unseen), truth[known, j], unseen)  # in every sample, which few trees allow
    return soft
