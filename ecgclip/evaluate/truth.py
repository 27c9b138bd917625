"""The records and labels of an evaluation, and the truth of each label in each record."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ecgclip.data.cases import Case
from ecgclip.data.sets import DATA_SETS, SUBCLASS_LABELS, data_set
from ecgclip.data.splits import choose_test, load, trained_sources
from ecgclip.ecg import EcgclipError
from ecgclip.evaluate.metrics import Labels
from ecgclip.knowledge.label_sets import load_label_set
from ecgclip.model.clip import ECGCLIP
from ecgclip.prepare import SAMPLING_RATE

NAMINGS = ("code", "en", "de")


def fold_to_test(dataset: str, fold: int | Sequence[int] | None) -> int | Sequence[int] | None:
    """The fold that was asked for; by default the published test fold of the data set, None where it has none."""
    return data_set(dataset).published_fold if fold is None else fold


def cases_to_test(model: ECGCLIP, dataset: str, path: Path, fold: int | Sequence[int] | None = None) -> list[Case]:
    """The cases to test on: those of a fold, or of the test part of a source without folds (`splits.choose_test`).

    If the model was trained on them, a line on stderr says so.

    Parameters
    ----------
    fold
        Folds of ptb-xl, one or more of 1 to 10, by default 10, the published test split; of mitdb the record sets 1 or
        2 of the inter-patient split, by default 2.

    Raises
    ------
    EcgclipError
        For an unknown data set, or where no record is left.
    """
    fold = fold_to_test(dataset, fold)
    folds = {fold} if isinstance(fold, int) else set(fold or ())
    cases, seen = choose_test(dataset, load_cases(model, dataset, path, folds), model.config.training)
    if seen:
        print("note: the model was trained on these records: the figures do not hold for new ones", file=sys.stderr)
    if not cases:
        of = f" of fold {', '.join(map(str, sorted(folds)))}" if folds else ""
        raise EcgclipError(f"{path}: holds no record of {dataset}{of} to test on")
    return cases


def source_trained(model: ECGCLIP, dataset: str) -> bool | None:
    """Whether the model was trained on records of this data set, if of other patients; None where it does not say."""
    training = model.config.training
    return dataset in trained_sources(training) if training else None


def load_cases(model: ECGCLIP, dataset: str, path: Path, folds: Collection[int] = ()) -> list[Case]:
    """The cases of a data set, of the given folds or of all (none given), at the sampling rate that the model needs."""
    fine = model.config.ecg.sampling_rate > SAMPLING_RATE
    return load(dataset, path, model.kb, folds or None, fine=fine, every_s=10.0)  # every heartbeat once


def choose_labels(model: ECGCLIP, dataset: str, label_set: str, cases: list[Case], naming: str) -> Labels:
    """The labels of a label set, named as `naming` says.

    Parameters
    ----------
    label_set
        A name out of prompts/, or "annotated": every concept that one of `cases` is annotated with.
    naming
        One of NAMINGS: the label set's codes, or its English or German names.

    Raises
    ------
    EcgclipError
        For an unknown label set, one of heartbeats where none are annotated, and one that lacks such names.
    """
    if label_set == "annotated":
        ids = sorted(set().union(*(c.annotated for c in cases)))
        if not ids:
            raise EcgclipError("the data set names no finding of the knowledge base: give a --label-set by its name")
        names = [model.kb.concepts[i].name for i in ids]
        return Labels(names, ids, dict(zip(names, ids, strict=True)))
    label_set = data_set(dataset).label_sets.get(label_set, label_set)
    chosen = load_label_set(label_set)
    codes, ids = list(chosen["labels"]), list(chosen["labels"].values())
    classes = tuple(codes) if label_set in SUBCLASS_LABELS else ()
    beats = tuple(frozenset(chosen["beats"][code]) for code in codes) if "beats" in chosen else ()
    if beats and not any(case.beats for case in cases):
        raise EcgclipError(f"label set {label_set} is of heartbeats, and the data set {dataset} annotates none")
    if naming == "code":
        return Labels(codes, ids, dict(chosen["labels"]), classes, beats)
    if missing := chosen["labels"].keys() - chosen.get(f"labels_{naming}", {}).keys():
        raise EcgclipError(f"label set {label_set}: labels_{naming} has no name for {sorted(missing)[0]!r}")
    return Labels([chosen[f"labels_{naming}"][code] for code in codes], ids, {}, classes, beats)


def truth_table(cases: Sequence[Case], labels: Labels) -> np.ndarray:
    """int8 (cases, labels): 1 present, 0 absent, -1 unknown."""
    if labels.beats:
        return np.array([[bool(kinds & case.annotated) for kinds in labels.beats] for case in cases], np.int8)
    if labels.classes and all(case.subclasses is not None for case in cases):
        return np.array([[c in (case.subclasses or ()) for c in labels.classes] for case in cases], np.int8)
    return np.array([[truth_of(case, c) for c in labels.concepts] for case in cases], np.int8)


def truth_of(case: Case, concept: str) -> int:
    """Whether a record has a concept: 1 annotated, 0 not annotated though its source annotates it, -1 unknown."""
    if concept in case.annotated:
        return 1
    # a source of classes or beats, without a list of statements: all that is known is annotated
    if not case.annotated:
        return int(case.statements.get(concept, -1))
    if concept not in case.statements or (case.statements[concept] and not case.complete):
        return -1
    if case.statements[concept]:  # it follows from a narrower finding
        row = DATA_SETS.get(case.source)
        return 0 if row and row.implied_absent else -1
    return 0


def with_a_label(cases: list[Case], labels: Labels) -> list[Case]:
    """The cases with at least one of the labels. Raises EcgclipError where there is none."""
    labelled = [c for c, row in zip(cases, truth_table(cases, labels), strict=True) if (row == 1).any()]
    if not labelled:
        raise EcgclipError("no record has a label of the set")
    return labelled


def patient_numbers(cases: Sequence[Case]) -> np.ndarray:
    """int (cases,): 0, 1, 2 …, the same for all records of a patient (Case.person)."""
    return np.unique([c.person for c in cases], return_inverse=True)[1]
