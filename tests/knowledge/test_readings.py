"""The table that criteria are asked of: many records are each alone, and windows become a record as documented."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from made import EMPTY, by_lead, measure_simulated, measured

from ecgclip.ecg import LEADS
from ecgclip.knowledge.criteria import Readings
from ecgclip.knowledge.criteria.quantities import QUANTITIES, is_measured
from ecgclip.knowledge.criteria.readings import columns, read, width
from ecgclip.knowledge.criteria.tree import Quantity

NAMES = [name for name in QUANTITIES if is_measured(name)]
RHYTHM = np.full(9, 800.0)  # from so many R-R intervals on the beats are counted


def values(readings, name):
    """Of one quantity, (n,), or (n, 12) by lead."""
    if not QUANTITIES[name].by_lead:
        return readings.value(Quantity(name))
    return np.stack([readings.value(Quantity(name), lead) for lead in LEADS], 1)


def test_each_of_many_records_is_as_it_is_alone():
    given = [measure_simulated(c, seed) for seed, c in enumerate(("normal", "af", "anterior-stemi"))]
    records = [Readings.of_record([m], age, sex) for m, age, sex in given]
    together = Readings.stack([*records, Readings.of_record([EMPTY]), Readings.of_record([])])
    assert len(together) == 5
    assert together.age[3:] == together.sex[3:] == (None, None)
    for name in (*NAMES, "age"):
        alone = np.concatenate([values(each, name) for each in records])
        assert np.array_equal(values(together, name)[:3], alone, equal_nan=True), name
    for name in ("QRS", "ST", "P_waves"):
        assert np.isnan(values(together, name)[4]).all(), "of no window nothing is known"
    assert len(Readings.stack([])) == 0


def test_a_quantity_is_read_in_its_unit_and_lead():
    readings = Readings.of_record([measured(qrs_ms=138, st_mv=by_lead(V2=0.3), p_present=True)], 60, "male")
    assert values(readings, "QRS") == 138
    assert values(readings, "ST")[0] == pytest.approx(by_lead(V2=0.3))
    assert readings.value(Quantity("ST", "V2"), "V1") == pytest.approx(0.3), "its own lead before that of the place"
    assert values(readings, "P_waves") == 1
    assert values(readings, "age") == 60


def test_no_two_quantities_share_a_column():
    used = np.concatenate([np.arange(width())[place] for place in columns().values()])
    assert sorted(used) == list(range(width()))


@pytest.mark.parametrize(
    "name, field, windows, record",
    [
        ("QRS", "qrs_ms", (100, 150, 140, math.nan), 140),
        ("QRS", "qrs_ms", (100, 150), 125),
        ("axis", "axis_deg", (170, -170, math.nan), 180),
        ("axis", "axis_deg", (-10, 30), 10),
        ("early_wide", "early_wide", (2, 0, 1), 3),
        ("P_waves", "p_present", (True, True, False, None), 1),
        ("P_waves", "p_present", (False, False, True), 0),
        ("P_waves", "p_present", (True, False), math.nan),
        ("P_waves", "p_present", (None, None), math.nan),
        ("pause", "longest_pause_ms", (900, 2500, 800), 2500),
    ],
)
def test_windows_become_a_record(name, field, windows, record):
    measurements = [measured(**{field: value, "rr_ms": RHYTHM}) for value in windows]
    given = Readings.of_record(measurements).value(Quantity(name))
    if name == "axis":
        assert math.cos(math.radians(given.item() - record)) == pytest.approx(1)
    else:
        assert given == pytest.approx([record], nan_ok=True)


def test_every_way_of_combining_is_known_and_used():
    assert {kind.windows for kind in QUANTITIES.values()} == {"median", "sum", "longest", "shortest", "angle", "most"}


def test_beats_that_cannot_be_counted_in_one_window_are_counted_in_the_others():
    few, enough = measured(early_narrow=5), measured(early_narrow=2, rr_ms=RHYTHM)
    assert Readings.of_record([few, enough]).value(Quantity("early_narrow")) == 2
    assert np.isnan(Readings.of_record([few, few]).value(Quantity("early_narrow")))


def test_one_premature_beat_in_a_long_record_is_one():
    windows = [measured(narrow_coupling=value, rr_ms=RHYTHM) for value in (98.0, 62.0, 97.0, math.nan)]
    assert Readings.of_record(windows).value(Quantity("narrow_coupling")) == pytest.approx(62)


@pytest.mark.parametrize("condition", ["af", "flutter-variable", "mobitz-1", "two-to-one-av-block"])
def test_intervals_that_conduction_makes_are_no_premature_beats(condition):
    windows = [measure_simulated("normal", 3)[0], measure_simulated(condition, 3)[0]]
    record = Readings.of_record(windows)
    assert record.value(Quantity("early_narrow")) == 0
    assert record.value(Quantity("narrow_coupling")) > 90
    frequent = Readings.of_record([measure_simulated("pac", 3)[0]])
    assert frequent.value(Quantity("early_narrow")) >= 2
    assert frequent.value(Quantity("narrow_coupling")) < 80


def test_a_lead_is_combined_over_the_windows_that_have_it():
    one, other = by_lead(0.1, V1=np.nan), by_lead(0.3, V1=0.2, V2=np.nan)
    record = values(Readings.of_record([measured(st_mv=one), measured(st_mv=other)]), "ST")[0]
    assert record == pytest.approx(by_lead(0.2, V1=0.2, V2=0.1))


def test_a_record_stands_before_its_windows():
    windows = [measure_simulated("pvc", seed)[0] for seed in (1, 2)]
    patient = {"age": 60, "sex": "female"}
    together = Readings.of_records_and_windows([SimpleNamespace(measurements=windows, metadata=patient)] * 2)
    record = Readings.of_record(windows, 60, "female")
    assert np.array_equal(together.rows[:1], record.rows, equal_nan=True)
    assert np.array_equal(together.rows[1:3], [read(m) for m in windows], equal_nan=True)
    assert np.array_equal(together.rows[3:], together.rows[:3], equal_nan=True)
    assert together.age == (60,) * 6
    assert together.sex == ("female",) * 6
    nothing = Readings.of_records_and_windows([SimpleNamespace(measurements=[], metadata={})])
    assert len(nothing) == 1
    assert np.isnan(nothing.rows).all()


def test_an_unknown_patient_is_unknown_however_it_is_written():
    readings = Readings(np.zeros((3, width())), [None, math.nan, 60], ["unknown", None, "male"])
    assert readings.age == (None, None, 60.0)
    assert readings.sex == (None, None, "male")
