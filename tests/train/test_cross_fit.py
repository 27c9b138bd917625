"""What is fitted on some patients is measured on others."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs ecgclip[train]")

from ecgclip.data.cases import Case  # noqa: E402
from ecgclip.knowledge.base import KnowledgeBase  # noqa: E402
from ecgclip.knowledge.criteria import FEATURES  # noqa: E402
from ecgclip.knowledge.criteria.readings import width  # noqa: E402
from ecgclip.model.calibration import Calibration, Witnesses  # noqa: E402
from ecgclip.train import calibrate  # noqa: E402


class Windows(SimpleNamespace):
    finding_keys, findings = (), None

    def __len__(self):
        return len(self.case)


def test_each_fold_is_described_by_the_threshold_that_the_others_choose(monkeypatch):
    counts = np.zeros((len(calibrate.THRESHOLDS), 3, 5), int)  # right, wrong, missing of five patients
    for patient in range(5):
        best = 7 if patient == 0 else 3  # the threshold at which his one statement is right
        counts[:, 1:, patient] = 1
        counts[best, :, patient] = (1, 0, 0)
    monkeypatch.setattr(calibrate, "statements", lambda *_: (counts, np.arange(5)))
    # the four others choose threshold 3, at which the first patient's is wrong: four right, one wrong, one missing
    assert calibrate.cross_fitted_f1(None, {}, []) == pytest.approx(8 / 10)
    monkeypatch.setattr(calibrate, "statements", lambda *_: (0 * counts, np.arange(5)))
    assert math.isnan(calibrate.cross_fitted_f1(None, {}, []))


def test_without_a_statement_there_is_no_calibration_error():
    cases = [Case("s", f"r{i}", str(i)) for i in range(10)]
    split = SimpleNamespace(cases=cases, windows=Windows(case=np.arange(10), readings=np.zeros((10, width()))))
    model = SimpleNamespace(kb=KnowledgeBase.load())
    criteria = Witnesses((1.0,) * len(FEATURES), 0.0)
    nothing = calibrate.examples(model, {"s": split})
    answers = calibrate.cross_fit(model, {"s": split}, nothing, criteria)
    figures = calibrate.cross_fitted(model, {"s": split}, answers)
    assert figures == {}
    assert calibrate.reliability(figures) == ()
    assert set(answers) == {(Calibration(), criteria)}
