"""What the criteria of a condition say together: more of what speaks for it never counts against it."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import EMPTY, by_lead, concept, measure_simulated, measured

from ecgclip.ecg import LEADS
from ecgclip.knowledge.criteria import FEATURES, Judge, Readings, answer, weigh
from ecgclip.knowledge.criteria.evidence import HIGHEST
from ecgclip.knowledge.criteria.judge import tree_of
from ecgclip.knowledge.criteria.readings import columns, read

NARROWER, EXPLAINED = FEATURES.index("narrower"), FEATURES.index("not_explained")
FAST, WIDE, LONG = "rate > 100 /min", "QRS > 120 ms", "PR > 200 ms"
SIMULATED = ("normal", "af", "lbbb", "inferior-stemi", "pvc", "lvh")


@pytest.fixture(scope="module")
def records():
    """Readings of simulated patients, and of one of whom nothing was measured."""
    given = [measure_simulated(c, seed) for seed, c in enumerate(SIMULATED)]
    return Readings.stack([Readings.of_record([m], age, sex) for m, age, sex in [*given, (EMPTY, None, None)]])


def judge_of(*concepts, **values):
    """A judge of one record with these numbers."""
    return Judge(Readings.of_record([measured(**values)]), {c.id: c for c in concepts})


def weigh_one(*concepts, **values):
    """The evidence for the first of these conditions."""
    return weigh(judge_of(*concepts, **values), concepts[0])


# --- margins become features ------------------------------------------------------------------------------------------


def test_nothing_measured_says_nothing():
    x = concept("x", ("required", LONG), ("supporting", LONG))
    for evidence in (weigh_one(x, heart_rate=130.0), weigh_one(concept("x")), weigh_one(concept("x", (None, None)))):
        assert not evidence.measured[0]
        assert not evidence.features.any()
    assert weigh_one(concept("x", ("required", LONG), ("supporting", FAST)), heart_rate=130.0).measured[0]


def test_what_is_required_and_what_supports_count_apart():
    x = concept("x", ("required", FAST), ("supporting", WIDE), ("against", "rate > 200 /min"))
    evidence = weigh_one(x, heart_rate=130.0, qrs_ms=100.0)
    fast, wide, very_fast = (130 - 100) / 7.5, (100 - 120) / 18, (130 - 200) / 7.5
    assert evidence.required == pytest.approx(min(fast, -very_fast))
    assert evidence.overall == pytest.approx((3 + wide) / 3), (
        "a margin beyond 3 says no more, nor what is not against it"
    )
    assert weigh_one(x, heart_rate=215.0, qrs_ms=100.0).overall == pytest.approx((3 + wide - 2) / 3)
    assert evidence.features[0] == pytest.approx([0, 0, 1, 2, 0, evidence.overall[0], 0, 0])


@settings(max_examples=60, deadline=None)
@given(st.floats(40, 250), st.floats(0, 60), st.floats(60, 200))
def test_no_feature_falls_with_what_speaks_for_a_condition(rate, more, qrs):
    x = concept("x", ("required", FAST), ("supporting", WIDE), explained_by={"y": "always"})
    wider = concept("w", ("required", WIDE))
    x = replace(x, broader=["w"])
    y = concept("y", ("required", "QRS > 150 ms"))
    for first in (x, wider):
        others = [c for c in (x, wider, y) if c is not first]
        lower, higher = (weigh_one(first, *others, heart_rate=r, qrs_ms=qrs).features for r in (rate, rate + more))
        assert (higher >= lower - 1e-12).all()


def test_higher_st_never_speaks_against_an_inferior_stemi(kb):
    m, age, sex = measure_simulated("inferior-stemi")
    # without what explains it: the ST of pericarditis is high, too
    concepts = {name: replace(entry, explained_by={}) for name, entry in kb.concepts.items()}
    rng, features = np.random.default_rng(0), []
    levels, more = rng.uniform(-0.1, 0.6, (60, 3)), rng.uniform(0, 0.4, (60, 1))
    for inferior in (levels, levels + more):
        rows = np.tile(read(m), (60, 1))
        for name in {"ST", "J"} & {name for _, name in columns()}:
            rows[:, columns()[None, name].start + np.array([1, 2, 5])] = inferior  # II, III, aVF
        judge = Judge(Readings(rows, [age] * 60, [sex] * 60), concepts)
        features.append(weigh(judge, concepts["inferior-stemi"]).features)
    assert (features[1] - features[0]).min() > -1e-6
    assert (features[1] > features[0] + 0.1).any()


# --- explanations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate, met", [(140.0, True), (60.0, False)])
def test_an_explanation_weakens_what_is_met_and_leaves_what_is_not(rate, met):
    x = concept("x", ("required", FAST), ("supporting", FAST), explained_by={"y": "always"})
    y = concept("y", ("required", WIDE))
    plain, doubted = (weigh_one(x, y, heart_rate=rate, qrs_ms=qrs) for qrs in (60.0, 180.0))
    assert plain.explained[0] < 0.01
    assert doubted.explained[0] > 0.99
    assert doubted.required == plain.required, "what was measured stays as it is"
    said, weaker = plain.features[0, :EXPLAINED], doubted.features[0, :EXPLAINED]
    if met:
        assert (said > 0).any()
        assert (weaker[said > 0] < 0.02 * said[said > 0]).all()
    else:
        assert (said < 0).any()
        assert np.array_equal(weaker, said)


def test_an_explanation_holds_only_where_its_test_says():
    y = concept("y", ("required", WIDE))
    for test, holds in (("always", 1), (FAST, 1), ("rate < 100 /min", 0)):
        x = concept("x", ("required", FAST), explained_by={"y": test})
        assert weigh_one(x, y, heart_rate=140.0, qrs_ms=180.0).explained == pytest.approx(holds, abs=0.01)


def test_an_explanation_of_which_nothing_is_known_is_none():
    x = concept("x", ("required", FAST), explained_by={"y": "always", "z": LONG})
    y, z = concept("y", ("required", LONG)), concept("z", ("required", FAST))
    assert weigh_one(x, y, z, heart_rate=140.0).explained == 0


def test_a_value_far_from_every_threshold_is_no_matter():
    x = concept("x", ("required", FAST), explained_by={"y": "always"})
    y = concept("y", ("required", "rate > 30000 /min ± 0.1"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evidence = weigh_one(x, y, heart_rate=200.0)
    assert evidence.explained == 0
    assert np.isfinite(evidence.features).all()


# --- leads that are missing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "test, share",
    [
        (FAST, 1),  # any lead shows it
        ("ST > 0.1 mV in any of II III aVF", 1 / 3),
        ("R(V1) + S(V5) > 1 mV", 0),
        ("axis > 90 deg", 0.5),
        (f"{FAST} and ST > 0.1 mV in any of II III aVF", (1 + 1 / 3) / 2),
        ("is y", 1 / 2),
        ("is y or is x", 1 / 2),  # a circle asks for nothing more
        ("t_inversion:lateral", 0),
    ],
)
def test_criteria_count_as_far_as_the_leads_that_they_ask_for_are_there(test, share):
    x, y = concept("x", ("required", test)), concept("y", ("required", "J > 0.1 mV in all of I II V1 V2"))
    limbs = by_lead(np.nan, II=1.0) if "y" not in test else by_lead(np.nan, I=1.0, II=1.0)
    all_leads, some = ({"qrs_pp_mv": height, "heart_rate": 130.0} for height in (by_lead(1.0), limbs))
    if test.startswith("axis"):
        some["qrs_pp_mv"] = by_lead(np.nan, I=1.0)
    assert weigh_one(x, y, **all_leads).coverage == 1
    assert weigh_one(x, y, **some).coverage == pytest.approx(share)
    assert weigh_one(x, y, heart_rate=130.0).coverage == 1, "no beat says nothing of leads, as in asystole"


def test_one_lead_says_as_much_of_a_rhythm_and_less_of_a_normal_ecg(kb):
    twelve, one = (
        Judge(Readings.of_record([measure_simulated("af", leads=leads)[0]]), kb.concepts) for leads in (LEADS, ["II"])
    )
    for name, least, most in (("atrial-fibrillation", 1, 1), ("normal-ecg", 0.3, 0.7), ("hypertrophy", 0, 0.3)):
        covered = weigh(one, kb.concepts[name]).coverage[0]
        assert least <= covered <= most, name
        assert weigh(twelve, kb.concepts[name]).coverage == 1


def test_a_condition_without_tests_asks_for_the_leads_of_its_narrower_ones():
    wider, x = concept("w"), concept("x", ("required", "ST > 0.1 mV in any of II III aVF"), broader=["w"])
    assert weigh_one(wider, x, qrs_pp_mv=by_lead(np.nan, II=1.0)).coverage == pytest.approx(1 / 3)
    assert weigh_one(concept("w"), qrs_pp_mv=by_lead(np.nan, II=1.0)).coverage == 1


# --- wider and narrower -----------------------------------------------------------------------------------------------


def test_a_wider_condition_is_at_least_as_true_as_its_narrower_ones(kb, records):
    judge, checked = Judge(records, kb.concepts), 0
    evidence = {name: weigh(judge, entry) for name, entry in kb.concepts.items()}
    for name, wider in evidence.items():
        assert (wider.features <= HIGHEST).all()
        for each in judge.narrower(name):
            narrower = evidence[each.id]
            required = np.where(narrower.required > 0, narrower.required * (1 - narrower.explained), narrower.required)
            least = np.nan_to_num(np.fmax(required, narrower.narrower), nan=-99)
            assert (np.nan_to_num(wider.narrower, nan=-99) >= least - 1e-9).all(), (name, each.id)
            checked += 1
    assert checked > 100


def test_a_condition_without_criteria_is_heard_by_its_narrower_ones():
    wider, between = concept("w"), concept("b", broader=["w"])
    x = concept("x", ("required", FAST), broader=["b"])
    met, unmet = (weigh_one(wider, between, x, heart_rate=rate) for rate in (130.0, 60.0))
    assert met.narrower == pytest.approx(4)
    assert met.measured[0]
    assert met.features[0, NARROWER] == pytest.approx(2)
    assert not unmet.features.any(), "that one kind of it is absent says nothing of the others"
    assert not unmet.measured[0]


def test_a_wider_condition_is_met_where_a_narrower_one_is():
    """As an infarction is there if its wall is, though the leads that the wider one names look elsewhere."""
    wider = concept("w", ("required", WIDE))
    x = concept("x", ("required", FAST), broader=["w"])
    alone, both = weigh_one(wider, heart_rate=130.0, qrs_ms=80.0), weigh_one(wider, x, heart_rate=130.0, qrs_ms=80.0)
    assert alone.features[0, :4] == pytest.approx([-11 / 9, -1, 0, 0], abs=1e-3)
    assert both.required == alone.required, "what was measured stays as it is"
    assert both.features[0, :4] == pytest.approx([0, 0, 1, 2])
    nearly = weigh_one(wider, x, heart_rate=95.0, qrs_ms=80.0)
    assert nearly.features[0, :4] == pytest.approx([0, -2 / 3, 0, 0], abs=1e-3), "nor is there a step at the threshold"


def test_the_narrower_ones_are_those_below_at_every_step():
    chain = [concept("a"), concept("b", broader=["a"]), concept("c", broader=["b", "a"]), concept("d")]
    judge = judge_of(*chain)
    assert {name: {c.id for c in judge.narrower(name)} for name in "abcd"} == {
        "a": {"b", "c"},
        "b": {"c"},
        "c": set(),
        "d": set(),
    }


# --- many records -----------------------------------------------------------------------------------------------------


def test_many_records_are_judged_as_each_alone(kb, records):
    """Every criterion, condition and weight that ships, with what is known and what is not."""
    chosen = [SIMULATED.index("lbbb"), SIMULATED.index("af"), SIMULATED.index("inferior-stemi"), -1]
    rows = records.rows[chosen]
    rows[1:] = np.where(np.random.default_rng(0).random(rows[1:].shape) < 0.15, np.nan, rows[1:])
    patients = list(zip(rows, (60, None, 30, None), ("female", "male", None, None), strict=True))
    alone = [Judge(Readings(row, [age], [sex]), kb.concepts) for row, age, sex in patients]
    together = Judge(Readings.stack([one.readings for one in alone]), kb.concepts)
    for entry in kb.concepts.values():
        for test in (f"is {entry.id}", *(c.test for c in entry.criteria if c.test)):
            margin = np.hstack([one.margin(tree_of(test)) for one in alone])
            assert np.array_equal(together.margin(tree_of(test)), margin), test
        features = np.vstack([weigh(one, entry).features for one in alone])
        assert np.allclose(weigh(together, entry).features, features, atol=1e-12), entry.id


def test_a_judge_of_no_record_answers_nothing(kb):
    judge = Judge(Readings.stack([]), kb.concepts)
    assert weigh(judge, kb.concepts["stemi"]).features.shape == (0, len(FEATURES))


# --- conditions that ask for one another ------------------------------------------------------------------------------

NAMES = "abcd"
PARTS = st.sampled_from([FAST, WIDE, LONG, *(f"is {n}" for n in NAMES), *(f"not is {n}" for n in NAMES)])
TESTS = st.lists(PARTS, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from([" and ".join(parts), " or ".join(parts)])
)


@settings(max_examples=100, deadline=None)
@given(st.lists(TESTS, min_size=4, max_size=4), st.permutations(NAMES), st.permutations(NAMES))
def test_a_circle_ends_and_its_answers_do_not_depend_on_the_order_asked(tests, one, other):
    concepts = {name: concept(name, ("required", test)) for name, test in zip(NAMES, tests, strict=True)}
    readings = Readings.of_record([measured(heart_rate=130.0, qrs_ms=100.0)])
    answers = []
    for order in (one, other):
        judge = Judge(readings, concepts)
        margins = {name: judge.condition(name) for name in order}
        answers.append([[float(end[0]) for end in margins[name]] for name in NAMES])
    assert answers[0] == answers[1]


def test_what_only_asks_for_itself_is_unknown_and_else_what_is_known_stands():
    a, b = concept("a", ("required", "is b")), concept("b", ("required", "is a"))
    assert not weigh_one(a, b, heart_rate=130.0).measured[0]
    a, b = concept("a", ("required", f"is b or {FAST}")), concept("b", ("required", "is a"))
    for name in "ab":
        low, _ = judge_of(a, b, heart_rate=130.0).condition(name)
        assert low == pytest.approx(4)


def test_what_has_to_be_absent_is_said_together_and_as_what_it_is():
    """ "not lbbb: unmet" would read as if LBBB were there."""
    wide, fast = concept("wide", ("required", "QRS >= 120 ms")), concept("fast", ("required", "rate > 100 /min"))
    slow = concept("slow", ("required", "rate < 60 /min"))
    judge = judge_of(wide, fast, slow, qrs_ms=90.0, heart_rate=130.0)
    said = answer(judge, "QRS < 100 ms and not is wide and not is fast and not is slow").value
    assert said == "QRS 90 ms (< 100), and wide, slow: unmet (not met), and fast: met (not met)"
