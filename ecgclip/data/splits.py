"""The split of every data set into training, validation and test, by patient.

    folder ──load──▶ cases ─┬─divide──────▶ training, validation, test: what a recipe learns from
                            ├─choose_test─▶ what a model is tested on
                            └─choose_probe▶ training and test cases of a linear probe

The test part of a published split is never trained on. All records of a patient (`Case.person`) are in one part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import DATA_SETS, DataSet, data_set
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase

CROSS_FITTED = 5  # folds of validation patients: what is fitted on four of them is measured on the fifth
PROBE_PART = 5  # a data set without any split: a probe is tested on one patient in five


@dataclass(frozen=True)
class Parts:
    """The cases of one data set; no patient is in two of the parts."""

    training: list[Case]
    validation: list[Case]
    test: list[Case]


# ---------------------------------------------------------------------------------------------------------------------
# Recipes


def check_data(data: dict[str, dict[str, Any]], test_part: dict[str, int]) -> None:
    """Check what a recipe asks for.

    Parameters
    ----------
    data : dict
        Name of a data set → its options `path` (or `seeds`), `per_step` and `folds`.
    test_part : dict
        Name of a data set → one patient in so many is tested on.

    Raises
    ------
    EcgclipError
        There is no such data set, option, fold or part.
    """
    for name, table in (("data", data), ("test_part", test_part)):
        if not isinstance(table, dict):
            raise EcgclipError(f"{name}: {table!r} is not a list of data sets, each `name: …` on a line of its own")
    for name, options in data.items():
        row = data_set(name)
        _check_options(name, options)
        if "folds" in options:
            _check_folds(name, row, options["folds"])
    for name, part in test_part.items():
        if name not in data:
            raise EcgclipError(f"test_part: {name!r} is not in data, where there is {', '.join(data)}")
        if not isinstance(part, int) or part < 2:
            raise EcgclipError(f"test_part: {name} is {part!r}; one patient in 2 or more can be tested on")
    if both := sorted(name for name in data if DATA_SETS[name].same_records_as in data):
        raise EcgclipError(f"data: {' and '.join(both)} hold the same records: give one of them")


def _check_options(name: str, options: Any) -> None:
    first, example = ("seeds", "seeds: 8") if DATA_SETS[name].made else ("path", f"path: {name}")
    if not isinstance(options, dict):
        raise EcgclipError(f"data: {name} needs {first} and per_step, such as {{{example}, per_step: 64}}")
    if lacking := {first, "per_step"} - options.keys():
        raise EcgclipError(f"data: {name} lacks {sorted(lacking)[0]}")
    if unknown := options.keys() - {first, "per_step", "folds"}:
        raise EcgclipError(f"data: {name} has no option {sorted(unknown)[0]!r}; there are {first}, per_step and folds")
    if first == "seeds" and (not isinstance(options["seeds"], int) or options["seeds"] < 1):
        raise EcgclipError(f"data: {name} seeds is {options['seeds']!r}; give a number from 1 up")


def _check_folds(name: str, row: DataSet, folds: Any) -> None:
    if not row.folds:
        raise EcgclipError(f"data: {name} has no folds: leave them out")
    if not isinstance(folds, list) or not folds or not set(folds) <= set(row.training_folds):
        allowed = ", ".join(map(str, row.training_folds))
        raise EcgclipError(f"data: {name} folds {folds!r}: give a list out of {allowed}; the others are tested on")


# ---------------------------------------------------------------------------------------------------------------------
# Cases and their parts


def load(
    name: str,
    root: Path,
    kb: KnowledgeBase,
    folds: Collection[int] | None = None,
    *,
    fine: bool = False,
    signals: bool = True,
    every_s: float | None = None,
    seeds: int | None = None,
) -> list[Case]:
    """Load the cases of a data set, without those that are a data set of their own.

    Parameters
    ----------
    name : str
        The data set.
    root : Path
        Its folder, in the public layout.
    kb : KnowledgeBase
        Knows the labels.
    folds : collection of int, optional
        Published folds to load; None: all.
    fine : bool
        Where a record is there at two sampling rates, prefer the higher.
    signals : bool
        Leave out records whose file is not there. False keeps those of a data set with reports, for their reports.
    every_s : float, optional
        Of long records: a stretch is taken every so many s; None: as the loader does.
    seeds : int, optional
        Of simulated records: patients of each condition; None: as the loader does.

    Raises
    ------
    EcgclipError
        There is no such data set, it has no folds, or its loader cannot read the folder.
    """
    row = data_set(name)
    if folds is not None and not row.folds:
        raise EcgclipError(f"the data set {name} has no folds: leave --fold out")
    wanted: dict[str, Any] = {"fine": fine, "signals": signals, "every_s": every_s, "seeds": seeds}
    options = {option: wanted[option] for option in row.options if wanted[option] is not None}
    cases = row.load_function()(root, kb, **options)
    return [c for c in cases if c.source not in row.published_apart and (folds is None or c.fold in folds)]


def divide(
    name: str,
    cases: list[Case],
    folds: Collection[int] | None = None,
    validation_part: int = 0,
    test_part: int = 0,
) -> Parts:
    """Divide all cases of a data set into training, validation and test.

    Parameters
    ----------
    name : str
        The data set.
    cases : list of Case
        All of them: who is tested on depends on all records of a patient.
    folds : collection of int, optional
        To train and validate on; None: all that are not tested on.
    validation_part : int
        One patient in so many validates, and one at least; 0: none.
    test_part : int
        One patient in so many is tested on, beside those of the published split; 0: none beside those.
    """
    row = data_set(name)
    tested = row.tested_persons | {
        c.person
        for c in cases
        if c.fold in row.test_folds
        or (row.test_part and c.share(row.test_part) == 0)
        or (test_part and c.share(test_part) == 0)
    }
    learnt = [c for c in cases if c.person not in tested and (folds is None or c.fold in folds)]
    validating = {c.person for c in learnt if validation_part and c.share(validation_part) == 0}
    if learnt and validation_part and not validating:  # a small folder, of whose patients none fell into that part
        validating = {min(learnt, key=lambda c: (c.share(1 << 16), c.patient)).person}
    return Parts(
        [c for c in learnt if c.person not in validating],
        [c for c in learnt if c.person in validating],
        [c for c in cases if c.person in tested],
    )


# ---------------------------------------------------------------------------------------------------------------------
# Models and their tests


def split_record(name: str, cases: Iterable[Case], test_part: int = 0) -> dict[str, Any]:
    """What a model's config keeps of a data set: the folds of its training and validation cases, or the part left for
    testing."""
    row = data_set(name)
    if row.folds:
        return {"folds": sorted({c.fold for c in cases})}
    return {"test_part": row.test_part or test_part}


def trained_sources(training: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The data sets that a model was trained on, each with its `split_record`.

    Parameters
    ----------
    training : dict
        The model's config.training.
    """
    if "split" in training:
        return training["split"]
    # models of version 0.1.0 were trained on all that their recipe does not leave out
    recipe = training.get("recipe", {})
    trained = {}
    for name, options in recipe.get("data", {}).items():
        all_folds = DATA_SETS[name].folds if name in DATA_SETS else ()
        part = recipe.get("test_part", {}).get(name, 0)
        trained[name] = {"folds": options.get("folds", all_folds or None), "test_part": part}
    return trained


def choose_test(name: str, cases: list[Case], training: dict[str, Any]) -> tuple[list[Case], bool]:
    """Choose the cases that a model is tested on.

    Parameters
    ----------
    name : str
        The data set.
    cases : list of Case
        All of its cases, or those of some folds.
    training : dict
        The model's config.training.

    Returns
    -------
    list of Case
        All of `cases` where the data set has folds; else those of its test part, or all where it has none.
    bool
        Whether the model was trained on any of them.
    """
    row, trained = data_set(name), trained_sources(training)
    record = trained.get(name)
    if row.folds:
        return cases, record is not None and any(c.fold in record["folds"] for c in cases)
    part = row.test_part or (record["test_part"] if record else 0)
    if part:
        cases = [c for c in cases if c.share(part) == 0]
    if record is None:
        return cases, row.same_records_as in trained
    return cases, record["test_part"] != part or not part


def choose_probe(name: str, cases: list[Case], test: list[Case]) -> tuple[list[Case], list[Case]]:
    """Choose the training and test cases of a linear probe; no patient is in both.

    Parameters
    ----------
    name : str
        The data set.
    cases : list of Case
        All of its cases.
    test : list of Case
        Those that `choose_test` chose. Where these are all, one patient in five is tested on, and the others train;
        where there are folds, the other probe folds train.
    """
    row = data_set(name)
    if row.folds:
        folds = set(row.probe_folds) - {c.fold for c in test}
        cases = [c for c in cases if c.fold in folds]
    elif len(cases) == len(test):
        test = [c for c in test if c.share(PROBE_PART) == 0]
    persons = {c.person for c in test}
    return [c for c in cases if c.person not in persons], test


def patient_folds(cases: Sequence[Case]) -> np.ndarray:
    """Assign cases to folds of equal numbers of patients, for cross-fitting.

    Returns
    -------
    int (cases,)
        0 to CROSS_FITTED - 1, the same for all cases of a person.
    """
    persons = {c.person: c.share(1 << 32) for c in cases}
    number = {p: i % CROSS_FITTED for i, p in enumerate(sorted(persons, key=lambda p: (persons[p], p)))}
    return np.array([number[c.person] for c in cases], int)
