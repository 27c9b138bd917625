"""Where criteria look: the leads in which they hold, the beats they are of, the part of the heartbeat they read."""

import numpy as np
import pytest

from ecgclip.explain.places import PARTS, Place, condition_places, places
from ecgclip.knowledge import KnowledgeBase
from ecgclip.knowledge.criteria import Judge, Readings, parse_test
from ecgclip.knowledge.criteria.quantities import QUANTITIES
from ecgclip.measure import examine
from ecgclip.simulate import simulate

NOTHING_TO_SHOW = {"noise", "wander", "flat_leads", "age", "mains", "mains_variation"}


@pytest.fixture(scope="module")
def base():
    return KnowledgeBase.load()


@pytest.fixture(scope="module")
def judge(base):
    return Judge(Readings.of_examined(examine(simulate("inferior-stemi", seed=3))), base.concepts)


def leads(found):
    return {place.lead for place in found}


def test_of_several_leads_those_in_which_it_holds(judge):
    found = places(judge, parse_test("J >= 0.1 mV in 2 contiguous of all"))
    assert {"II", "III", "aVF"} <= leads(found)
    assert not {"I", "aVL"} & leads(found)
    assert {place.part for place in found} == {"ST"}


def test_of_alternatives_those_that_hold(judge):
    assert places(judge, parse_test("rate > 250 /min or QRS < 250 ms")) == {Place(None, "QRS", None)}


def test_what_does_not_hold_is_nowhere(judge):
    assert places(judge, parse_test("QRS > 250 ms and rate > 1 /min")) == set()


def test_beats_are_those_of_the_quantity(judge):
    assert places(judge, parse_test("early_wide = 0")) == {Place(None, "R", "wide")}
    assert places(judge, parse_test("axis between -90 and 120 deg")) == {
        Place("I", "QRS", None),
        Place("aVF", "QRS", None),
    }


def test_another_condition_is_asked_where_it_looks_and_its_absence_is_nowhere(judge):
    assert {"II", "III", "aVF"} <= leads(places(judge, parse_test("is inferior-stemi")))
    assert places(judge, parse_test("not is left-bundle-branch-block")) == set()


def test_every_condition_can_be_asked(judge, base):
    for concept in base.concepts.values():
        for place in condition_places(judge, concept):
            assert isinstance(place, Place)
    assert {"II", "III", "aVF"} <= leads(condition_places(judge, base.concepts["inferior-stemi"]))


def test_every_quantity_has_a_part_but_those_that_no_beat_shows():
    assert set(PARTS) <= set(QUANTITIES)
    of_the_course = {"limb_chest_fit", "signal_height", "wave_rate", "chaos", "sine_wave", "axis_twist", "beat_fit"}
    others = {"epsilon", "uncaptured_spikes", "early_spikes", "spike_AV_range", "unclassified_beats"}
    assert set(QUANTITIES) - set(PARTS) == NOTHING_TO_SHOW | of_the_course | others


def test_r_lies_in_qrs():
    for name in ("normal", "lbbb", "pvc"):
        (m,) = examine(simulate(name, seed=1)).measurements
        for each in (m, *m.table.classes.values()):
            assert np.isnan(each.qrs_ms) or 0 <= each.r_after_onset_ms <= each.qrs_ms
