"""Who is trained on, who validates and who is tested on: decided here for every source, by patient.

    folder ──load──▶ cases ─┬─divide──▶ training, validation, test: what a recipe learns from (train.py)
                            ├─tested──▶ what a model is tested on (evaluate.py)
                            └─probed──▶ training and test of a linear probe (probe.py)

What a published split tests on is never trained on. All records of a patient (`Case.person`) are in one part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import LOADERS
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase

FOLDS = {"ptb-xl": range(1, 11), "mitdb": range(3)}  # of mitdb: 1 is DS1, 2 is DS2, 0 the paced records
TEST_FOLDS = {"ptb-xl": {9, 10}, "mitdb": {2}}
PUBLISHED = {"ptb-xl": 10, "mitdb": 2}  # the fold that others test on
TEST_PART = {"challenge-2017": 5}  # no fold, but one record in five
PROBE_FOLDS = {"ptb-xl": set(range(1, 9)), "mitdb": {1, 2}}  # that a probe is trained on, but those of its test
CROSS_FITTED = 5  # folds of validation patients: what is fitted on four of them is measured on the fifth
PROBE_PART = 5  # a source without any split: a probe is tested on one patient in five
# Records of these sources that are in a data set of their own, too: A is CPSC2018, HR is PTB-XL
ELSEWHERE = {"challenge-2020": {"A", "HR"}}
SHARED = {"chapman": "challenge-2020", "challenge-2020": "chapman"}  # the JS records are in both
# Record 202 of DS2 is of the man of 201 in DS1: he is tested on, even where a folder lacks that record
TESTED = {"mitdb": {"mitdb/201"}}


@dataclass(frozen=True)
class Parts:
    """The cases of one source; no patient is in two of the parts."""

    training: list[Case]
    validation: list[Case]
    test: list[Case]


def check(data: dict[str, dict[str, Any]], test_part: dict[str, int]) -> None:
    """Raises EcgclipError where `data` or `test_part` of a recipe asks for sources, folds or parts that there are not."""
    for name, table in (("data", data), ("test_part", test_part)):
        if not isinstance(table, dict):
            raise EcgclipError(f"{name}: {table!r} is no list of data sets, each `name: …` on a line of its own")
    for source, options in data.items():
        if source not in LOADERS:
            raise EcgclipError(f"no data set {source!r}; there are {', '.join(LOADERS)}")
        if not isinstance(options, dict):
            raise EcgclipError(f"data: {source} needs path and per_step, such as {{path: {source}, per_step: 64}}")
        if lacking := {"path", "per_step"} - options.keys():
            raise EcgclipError(f"data: {source} lacks {sorted(lacking)[0]}")
        if unknown := options.keys() - {"path", "per_step", "folds"}:
            raise EcgclipError(
                f"data: {source} has no option {sorted(unknown)[0]!r}; there are path, per_step and folds"
            )
        if "folds" not in options:
            continue
        if source not in FOLDS:
            raise EcgclipError(f"data: {source} has no folds: leave them out")
        folds, allowed = options["folds"], [f for f in FOLDS[source] if f not in TEST_FOLDS[source]]
        if not isinstance(folds, list) or not folds or not set(folds) <= set(allowed):
            raise EcgclipError(
                f"data: {source} folds {folds!r}: give a list out of {', '.join(map(str, allowed))}; the others are tested on"
            )
    for source, part in test_part.items():
        if source not in data:
            raise EcgclipError(f"test_part: {source!r} is not in data, where there is {', '.join(data)}")
        if not isinstance(part, int) or part < 2:
            raise EcgclipError(f"test_part: {source} is {part!r}; one patient in 2 or more can be tested on")
    if both := sorted(source for source, other in SHARED.items() if {source, other} <= data.keys()):
        raise EcgclipError(f"data: {' and '.join(both)} hold the same records: give one of them")


def load(
    source: str, root: Path, kb: KnowledgeBase, folds: Collection[int] | None = None, **options: Any
) -> list[Case]:
    """The cases of a source, of some folds or all (None), without those that are a data set of their own.

    options: of its loader. Raises EcgclipError for a source that is not there, or has no folds.
    """
    if source not in LOADERS:
        raise EcgclipError(f"no data set {source!r}; there are {', '.join(LOADERS)}")
    if folds is not None and source not in FOLDS:
        raise EcgclipError(f"the data set {source} has no folds: leave --fold out")
    cases = LOADERS[source](root, kb, **options)
    return [c for c in cases if c.source not in ELSEWHERE.get(source, ()) and (folds is None or c.fold in folds)]


def divide(
    source: str,
    cases: list[Case],
    folds: Collection[int] | None = None,
    validation_part: int = 0,
    test_part: int = 0,
) -> Parts:
    """All cases of a source → its parts. folds: to train and validate on; None: all that are not tested on.

    validation_part: one patient in so many validates; 0: none. test_part: one patient in so many is tested on, beside those
    of the published split; 0: no more than these.
    """
    fixed = TEST_PART.get(source, 0)
    tested = TESTED.get(source, set()) | {
        c.person
        for c in cases
        if c.fold in TEST_FOLDS.get(source, ())
        or (fixed and c.share(fixed) == 0)
        or (test_part and c.share(test_part) == 0)
    }
    rest = [c for c in cases if c.person not in tested and (folds is None or c.fold in folds)]
    held = {c.person for c in rest if validation_part and c.share(validation_part) == 0}
    if rest and validation_part and not held:  # a small folder, of whose patients none fell into that part
        held = {min(rest, key=lambda c: (c.share(1 << 16), c.patient)).person}
    return Parts(
        [c for c in rest if c.person not in held],
        [c for c in rest if c.person in held],
        [c for c in cases if c.person in tested],
    )


def learnt(source: str, cases: Iterable[Case], test_part: int = 0) -> dict[str, Any]:
    """What a model's config keeps of a source: the folds that it was trained and validated on, or the part left for testing."""
    if source in FOLDS:
        return {"folds": sorted({c.fold for c in cases})}
    return {"test_part": TEST_PART.get(source, test_part)}


def sources(training: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What `learnt` says of each source that a model (its config.training) was trained on."""
    if "split" in training:
        return training["split"]
    recipe = training.get(
        "recipe", {}
    )  # models of version 0.1.0 were trained on all that their recipe does not leave out
    return {
        source: {
            "folds": options.get("folds", FOLDS.get(source)),
            "test_part": recipe.get("test_part", {}).get(source, 0),
        }
        for source, options in recipe.get("data", {}).items()
    }


def tested(source: str, cases: list[Case], training: dict[str, Any]) -> tuple[list[Case], bool]:
    """Cases of a source (or of some of its folds) → those to test a model on, and whether it was trained on any of them.

    training: the model's config.training. A source without folds is tested on its test part; without one, on all of it.
    """
    known = sources(training)
    own = known.get(source)
    if source in FOLDS:
        return cases, own is not None and any(c.fold in own["folds"] for c in cases)
    part = TEST_PART.get(source) or (own["test_part"] if own else 0)
    if part:
        cases = [c for c in cases if c.share(part) == 0]
    return cases, SHARED.get(source) in known if own is None else own["test_part"] != part or not part


def probed(source: str, cases: list[Case], test: list[Case]) -> tuple[list[Case], list[Case]]:
    """All cases of a source, and those of `tested` → training and test cases of a probe, no patient in both.

    ptb-xl: folds 1 to 8 train; mitdb: the other record set; else one patient in five is tested on, and the rest train.
    """
    if source in FOLDS:
        folds = PROBE_FOLDS[source] - {c.fold for c in test}
        cases = [c for c in cases if c.fold in folds]
    elif len(cases) == len(test):  # no part of it is for testing
        test = [c for c in test if c.share(PROBE_PART) == 0]
    persons = {c.person for c in test}
    return [c for c in cases if c.person not in persons], test


def patient_folds(cases: Sequence[Case]) -> np.ndarray:
    """int (cases,): 0 to CROSS_FITTED - 1, the same for all cases of a person, with as many persons in each as can be."""
    persons = {c.person: c.share(1 << 32) for c in cases}
    number = {p: i % CROSS_FITTED for i, p in enumerate(sorted(persons, key=lambda p: (persons[p], p)))}
    return np.array([number[c.person] for c in cases], int)
