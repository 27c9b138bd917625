"""Age and sex as inputs of the branch over measurements: unknown is as good as absent."""

import numpy as np
import pytest
import torch

from ecgclip.measure.vector import feature_names
from ecgclip.networks.config import ECGConfig
from ecgclip.networks.demographics import demographics
from ecgclip.networks.measurements import MeasurementBranch, input_names

COUNT = len(feature_names())


def test_years_and_sex_as_numbers():
    known = demographics([0, 63.5, 120, None, float("nan")], ["female", "male", None, "", "other"])
    np.testing.assert_array_equal(known[:, 0], [0, 63.5, 120, np.nan, np.nan])
    np.testing.assert_array_equal(known[:, 1], [0, 1, np.nan, np.nan, np.nan])
    assert known.dtype == np.float32
    assert demographics([], []).shape == (0, 2)


@pytest.mark.parametrize("age", [-1, 120.5, 300, float("inf")])
def test_an_age_that_nobody_has_is_unknown(age):
    assert np.isnan(demographics([age], ["male"])[0, 0])


@pytest.fixture(scope="module")
def branch():
    torch.manual_seed(0)
    branch = MeasurementBranch(ECGConfig(measured=32, dim=16, members=2, demographics=True)).eval()
    branch.fit(
        torch.cat([torch.randn(50, COUNT), torch.linspace(20, 90, 50)[:, None], torch.arange(50)[:, None] % 2], 1)
    )
    return branch


def test_the_branch_reads_age_and_sex(branch):
    measured = torch.randn(1, COUNT).repeat(3, 1)
    young, old, woman = branch(torch.cat([measured, torch.tensor([[30.0, 1], [80, 1], [30, 0]])], 1))
    assert not torch.allclose(young, old)
    assert not torch.allclose(young, woman)


def test_without_them_it_answers_as_for_an_unknown_patient(branch):
    measured = torch.randn(4, COUNT)
    unknown = torch.cat([measured, torch.full((4, 2), torch.nan)], 1)
    assert torch.equal(branch(measured), branch(unknown))


def test_a_branch_without_them_has_the_inputs_of_the_shipped_one():
    assert input_names(ECGConfig()) == feature_names()
    assert input_names(ECGConfig(demographics=True))[-2:] == ("age", "male")
    assert MeasurementBranch(ECGConfig(measured=32)).layers[0].in_features == 10 * COUNT
