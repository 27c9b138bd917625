"""Perturbed records, and how their scores change."""

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.robustness import PERTURBATIONS, perturb, robustness
from ecgclip.simulate import simulate


def test_perturbed_copies():
    ecg = simulate("normal")
    assert np.allclose(perturb(ecg, gain=1.2).signal, ecg.signal * 1.2)
    assert np.array_equal(perturb(ecg, shift_s=1.0).signal, ecg.signal[:, 500:])
    assert perturb(ecg, leads=("V1", "II")).leads == ("II", "V1")
    shown = np.isfinite(perturb(ecg, layout="3x4+II").signal)
    assert shown.sum(axis=1).tolist() == [5000 if lead == "II" else 1250 for lead in ecg.leads]
    assert np.isfinite(perturb(ecg, layout="6x2").signal).sum() == 12 * 2500
    with pytest.raises(EcgclipError, match="none of the leads"):
        perturb(perturb(ecg, leads=("I",)), leads=("V1",))


def test_robustness_reports_every_change(data, tiny_model, tmp_path):
    results = robustness(data, "ptb-xl-super", tmp_path, fold=9, weights=tiny_model, min_positives=2)
    rows = {r["change"]: r for r in results["changes"]}
    assert set(rows) == {"none", *PERTURBATIONS}
    assert (tmp_path / "results.json").exists()
    assert all(0 <= r["mean_probability_change"] <= 1 for k, r in rows.items() if k != "none")
