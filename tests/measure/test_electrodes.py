"""Limb electrodes in the wrong place are told, and which."""

import numpy as np
import pytest
from ecgs import observed, resting

from ecgclip.ecg import ECG, LEADS
from ecgclip.evaluate.robustness import perturb
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.electrodes import FLAT_BY
from ecgclip.prepare import LIMB
from ecgclip.simulate import simulate


def connected(kind, seed=1, leads=LEADS):
    """A normal ECG with the electrodes of the limbs connected in another way, or one lead upside down."""
    signal = simulate("normal", seed=seed).signal.astype(float)
    right, left, foot = 0 * signal[0], signal[0], signal[1]  # against the right arm
    ground = foot
    if kind == "arms":
        right, left = left, right
    elif kind == "right leg on the right arm":
        right = ground
    elif kind == "right leg on the left arm":
        left = ground
    signal[:6] = LIMB @ np.stack([left - right, foot - right])
    if kind == "dextrocardia":
        signal[:6] = LIMB @ np.stack([-left, foot - left])
        signal[6:] = np.linspace(1, 0.3, 6)[:, None] * signal[6]
    elif kind in LEADS:
        signal[LEADS.index(kind)] *= -1
    elif kind == "names":
        signal[[3, 4]] = signal[[4, 3]]
    return ECG(signal[[LEADS.index(lead) for lead in leads]], 500, leads)


@pytest.mark.parametrize("lead", LEADS[:6])
@pytest.mark.parametrize("seed", range(3))
def test_a_limb_lead_upside_down_is_named(lead, seed):
    out = observed(connected(lead, seed))
    assert out.exchange == f"{lead} looks upside down"
    assert out.decides()["limb-lead-reversal"].probability > 0.8
    assert "arm-lead-reversal" not in out.decides()


def test_three_limb_leads_are_enough_and_two_are_consistent_anyway():
    assert observed(connected("III", leads=("I", "II", "III", "V1"))).exchange == "III looks upside down"
    assert observed(connected("II", leads=("I", "II", "V1"))).exchange == ""


def test_limb_leads_that_do_not_fit_each_other_are_told():
    assert "do not fit each other" in observed(connected("names")).exchange


@pytest.mark.parametrize("seed", range(4))
def test_exchanged_arms_are_told_from_a_heart_on_the_right(seed):
    arms, right = observed(connected("arms", seed)), observed(connected("dextrocardia", seed))
    assert "arm electrodes exchanged" in arms.exchange
    assert {"arm-lead-reversal", "limb-lead-reversal"} <= set(arms.decides())
    assert arms.decides()["normal-ecg"].probability < 0.1
    assert set(right.decides()) == {"dextrocardia", "normal-ecg"}


@pytest.mark.parametrize("layout", ["3x4+II", "6x2+0"])
def test_exchanged_arms_are_told_on_a_printout(layout):
    assert "arm-lead-reversal" in observed(perturb(connected("arms"), layout=layout)).decides()
    assert not observed(perturb(connected("as they should be"), layout=layout)).exchange


LIMB_NOISE = np.zeros((12, 5000))
LIMB_NOISE[:6] = LIMB @ np.random.default_rng(0).normal(0, 0.01, (2, 5000))


@pytest.mark.parametrize(("kind", "lead"), [("right leg on the right arm", "II"), ("right leg on the left arm", "III")])
def test_an_electrode_on_the_right_leg_leaves_a_lead_flat(kind, lead):
    ecg = connected(kind)
    noisy = ecg.signal + LIMB_NOISE[:, : ecg.signal.shape[1]]
    out = observed(ECG(noisy, 500, LEADS))
    assert out.exchange.startswith(f"{lead} is flat")
    assert "right leg" in out.exchange
    assert "limb-lead-reversal" in out.decides()


def test_the_concepts_are_in_the_knowledge_base():
    kb = KnowledgeBase.load()
    kinds = ("arms", "dextrocardia", "III", "names")
    decided = set().union(*(observed(connected(kind)).decides() for kind in kinds), observed(resting(5, 20)).decides())
    assert decided == {
        "asystole", "sinus-arrest", "limb-lead-reversal", "arm-lead-reversal", "dextrocardia", "normal-ecg"
    }  # fmt: skip
    assert decided <= set(kb.concepts)
    assert set(FLAT_BY) == {0, 1, 2}
