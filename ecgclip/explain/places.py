"""Where a criterion looks: the leads, the beats and the part of the heartbeat that its quantities are read from.

    places(judge, tree_of("ST >= 0.1 mV in 2 contiguous of II III aVF"))     # {Place("III", "ST", None), …}

This is what a drawing lights up. Only what speaks for the test is named: of several leads those in which it holds, or
nearly does, and of alternatives those that hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ecgclip.knowledge.concepts import Concept
from ecgclip.knowledge.criteria import Judge, parse_role
from ecgclip.knowledge.criteria.judge import tree_of, tree_of_named, verdict
from ecgclip.knowledge.criteria.parser import leads_of
from ecgclip.knowledge.criteria.quantities import LEADS_READ
from ecgclip.knowledge.criteria.tree import And, Is, Named, Not, Or, Quantity, Test, Where, quantities
from ecgclip.knowledge.criteria.words import both_ends
from ecgclip.model.prompts import Prompt

HOLDS = ("met", "borderline")
# The part of the heartbeat that a quantity is read from; of the others none can be shown
_QUANTITIES = {
    "P": "P P_waves P_duration P_axis P_terminal P_certainty P_constancy P_unlocked P_rate P_shapes PP_variation RP "
    "dropped_P dropped_P_run premature_dropped_P missing_P P_in_pause pause_multiple retrograde_P P_before P_early "
    "P_other P_start P_end P_notch spike_A spike_A_contrast",
    "PR": "PR PR_range PR_growth PR_level",
    "QRS": "QRS axis upstroke Q Q_ms R R_ms S S_ms R2 tallest nadir nadir_share QRS_net QRS_height transition R_peak "
    "J_wave notches S_to_J delta QRS_alternans axis_alternation spike_V spike_V_contrast spiked_share both_bundles",
    "ST": "ST J ST_slope ST_curve ST_scatter ST_length",
    "T": "T discordance T_symmetry T_width T_after T_notch U T_alternans T_differs",
    "QT": "QT QTc",
    "TQ": "F f_share f_height atrial_rate atrial_share atrial_contrast atrial_height flat_between_P",
    "R": "rate RR RR_variation RR_irregularity RR_range pause beats alternating early_narrow early_wide late_narrow "
    "late_wide wide_run wide_run_rate wide_run_duration beat_shapes fusion_beats period groups "
    "narrow_coupling compensation rate_step long_short ashman",
}
PARTS = {name: part for part, names in _QUANTITIES.items() for name in names.split()}
# Of the whole ECG, but of certain beats
BEATS_READ = {
    "early_narrow": "early",
    "early_wide": "wide",
    "beat_shapes": "wide",
    "late_narrow": "late",
    "late_wide": "late",
    "wide_run": "wide",
    "wide_run_rate": "wide",
    "wide_run_duration": "wide",
    "fusion_beats": "fusion",
    "compensation": "wide",
    "long_short": "wide",
    "ashman": "wide",
    "spike_V": "paced",
    "spike_V_contrast": "paced",
    "spiked_share": "paced",
}


class Place(NamedTuple):
    """A part of heartbeats.

    Attributes
    ----------
    lead
        None: no certain one.
    part
        P, PR, QRS, ST, T, QT, TQ (between the beats), or R (the beats in time).
    beats
        A class of `BeatTable`; None for the usual beats, and with R for all.
    """

    lead: str | None
    part: str
    beats: str | None


def condition_places(judge: Judge, concept: Concept) -> set[Place]:
    """Where the criteria of a condition look that are met, or nearly; those against it left aside."""
    found: set[Place] = set()
    for criterion in concept.criteria:
        if criterion.test and parse_role(criterion.role).kind != "against":
            found |= places(judge, tree_of(criterion.test))
    return found


def prompt_places(prompt: Prompt, judge: Judge) -> set[Place]:
    """Where the criteria of a prompt's conditions look, those that it denies left aside, and its numbers."""
    found: set[Place] = set()
    for leaf in prompt.leaves:
        if leaf.concept and not leaf.denied:
            found |= condition_places(judge, leaf.concept)
        elif leaf.test:
            found |= places(judge, leaf.test)
    return found


def places(judge: Judge, test: Test) -> set[Place]:
    """Where a test looks; nowhere if it does not hold. The judge has the readings of one record."""
    return set(_places(judge, test, None, ())) if _holds(judge, test, None) else set()


def _holds(judge: Judge, test: Test, lead: str | None) -> bool:
    return verdict(*both_ends(judge.margin(test, lead))) in HOLDS


def _places(judge: Judge, test: Test, lead: str | None, asked: tuple[str, ...]) -> Iterator[Place]:
    """asked: the conditions through which the test was reached."""
    if isinstance(test, And):
        for part in test.tests:
            yield from _places(judge, part, lead, asked)
    elif isinstance(test, Or):
        for part in test.tests:
            if _holds(judge, part, lead):
                yield from _places(judge, part, lead, asked)
    elif isinstance(test, Named):
        yield from _places(judge, tree_of_named(test.name), lead, asked)
    elif isinstance(test, Not):
        if not isinstance(test.test, Is):  # another condition that is absent cannot be shown
            yield from _places(judge, test.test, lead, asked)
    elif isinstance(test, Where):
        for each in leads_of(test.places):
            if _holds(judge, test.test, each):
                yield from _places(judge, test.test, each, asked)
    elif isinstance(test, Is):
        yield from _of_condition(judge, test.concept, asked)
    else:
        for quantity in quantities(test):
            yield from _of_quantity(quantity, lead)


def _of_condition(judge: Judge, concept: str, asked: tuple[str, ...]) -> Iterator[Place]:
    if concept in asked or not (found := judge.concept(concept)):
        return
    for criterion in found.criteria:
        if criterion.test and parse_role(criterion.role).kind in ("required", "group"):
            test = tree_of(criterion.test)
            if _holds(judge, test, None):
                yield from _places(judge, test, None, (*asked, concept))


def _of_quantity(quantity: Quantity, lead: str | None) -> Iterator[Place]:
    part = PARTS.get(quantity.name)
    if part:
        beats = quantity.beats or BEATS_READ.get(quantity.name)
        for each in LEADS_READ.get(quantity.name, (quantity.lead or lead,)):
            yield Place(each, part, beats)
