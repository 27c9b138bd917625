"""The data sets: one row each, with everything that the package knows about it.

A new data set is a loader in this package and a row in `DATA_SETS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ecgclip.ecg import EcgclipError


@dataclass(frozen=True)
class DataSet:
    """What is known of a data set.

    Attributes
    ----------
    loader : str
        Where the function (folder, knowledge base) → cases is, as "module:name". It is imported when it is needed.
    options : tuple of str
        Keyword arguments that the loader takes: any of "fine", "signals", "every_s" and "seeds"; see `splits.load`.
    main : bool
        Each record has a full list of statements, so that a recipe may take it as its main source.
    reports : bool
        Its records have reports.
    made : bool
        Its records are simulated, in the cache: a recipe names `seeds` instead of `path`.
    folds, test_folds : tuple of int
        The published folds, and those of them that are never trained on. Empty where there are no folds.
    published_fold : int, optional
        The fold that others test on.
    probe_folds : tuple of int
        Folds that a linear probe may be trained on.
    test_part : int
        Without folds: one patient in so many is tested on, whatever a recipe says. 0: none.
    tested_persons : frozenset of str
        Persons (`Case.person`) who are tested on, even where a folder lacks their records of the test folds.
    published_apart : frozenset of str
        Sources (`Case.source`) in it that are a data set of their own, and are left out here.
    same_records_as : str
        Another data set that holds some of the same records.
    patients_unknown : frozenset of str
        Sources with several records per patient that do not say which records belong to the same patient.
    label_sets : mapping of str to str
        Short names of label sets, for use with this data set, and the names that they stand for.
    subclass_labels : str
        The label set whose labels are names in `Case.subclasses`.
    superclasses : mapping of str to str
        Names of its diagnostic classes and the concepts of the same meaning. Two records are alike if they share one.
    implied_absent : bool
        Its benchmarks count a finding that only follows from a narrower one as absent; else it is unknown.
    """

    loader: str
    options: tuple[str, ...] = ()
    main: bool = False
    reports: bool = False
    made: bool = False
    folds: tuple[int, ...] = ()
    test_folds: tuple[int, ...] = ()
    published_fold: int | None = None
    probe_folds: tuple[int, ...] = ()
    test_part: int = 0
    tested_persons: frozenset[str] = frozenset()
    published_apart: frozenset[str] = frozenset()
    same_records_as: str = ""
    patients_unknown: frozenset[str] = frozenset()
    label_sets: Mapping[str, str] = field(default_factory=dict)
    subclass_labels: str = ""
    superclasses: Mapping[str, str] = field(default_factory=dict)
    implied_absent: bool = False

    @property
    def training_folds(self) -> tuple[int, ...]:
        """The folds that may be trained on."""
        return tuple(fold for fold in self.folds if fold not in self.test_folds)

    def load_function(self) -> Callable[..., list[Any]]:
        """Import the loader."""
        module, _, name = self.loader.partition(":")
        return getattr(import_module(module), name)


DATA_SETS: dict[str, DataSet] = {
    # every record of folds 9 and 10 was validated by a cardiologist
    "ptb-xl": DataSet(
        "ecgclip.data.ptb_xl:ptb_xl",
        options=("fine", "signals"),
        main=True,
        reports=True,
        folds=tuple(range(1, 11)),
        test_folds=(9, 10),
        published_fold=10,
        probe_folds=tuple(range(1, 9)),
        label_sets={
            "superclass": "ptb-xl-super",
            "subclass": "ptb-xl-sub",
            "form": "ptb-xl-form",
            "rhythm": "ptb-xl-rhythm",
            "all": "ptb-xl-all",
        },
        subclass_labels="ptb-xl-sub",
        superclasses={
            "NORM": "normal-ecg",
            "MI": "myocardial-infarction",
            "STTC": "st-t-change",
            "CD": "conduction-disturbance",
            "HYP": "hypertrophy",
        },
        implied_absent=True,
    ),
    "mimic-iv-ecg": DataSet("ecgclip.data.mimic:mimic_iv_ecg", options=("signals",), main=True, reports=True),
    "challenge-2017": DataSet("ecgclip.data.challenges:challenge_2017", test_part=5),
    "challenge-2011": DataSet("ecgclip.data.challenges:challenge_2011"),
    # fold 1 is DS1, 2 is DS2, 0 are the paced records; record 201 of DS1 is of the same patient as record 202 of DS2
    "mitdb": DataSet(
        "ecgclip.data.mitdb:mitdb",
        options=("every_s",),
        folds=(0, 1, 2),
        test_folds=(2,),
        published_fold=2,
        probe_folds=(1, 2),
        tested_persons=frozenset({"mitdb/201"}),
    ),
    "folder": DataSet("ecgclip.data.folder:folder", main=True),
    # A is CPSC2018, HR is PTB-XL, JS is Chapman; S is PTB Diagnostic, I is INCART
    "challenge-2020": DataSet(
        "ecgclip.data.challenges:challenge_2020",
        published_apart=frozenset({"A", "HR"}),
        same_records_as="chapman",
        patients_unknown=frozenset({"S", "I"}),
    ),
    "cpsc2018": DataSet("ecgclip.data.challenges:cpsc_2018"),
    "chapman": DataSet("ecgclip.data.challenges:chapman", same_records_as="challenge-2020"),
    "ludb": DataSet("ecgclip.data.ludb:ludb"),
    "simulated": DataSet("ecgclip.data.simulated:simulated", options=("seeds",), made=True),
    "csv": DataSet("ecgclip.data.folder:labelled"),
}

SUPERCLASSES = DATA_SETS["ptb-xl"].superclasses
MAIN = tuple(name for name, row in DATA_SETS.items() if row.main)
SUBCLASS_LABELS = frozenset(row.subclass_labels for row in DATA_SETS.values() if row.subclass_labels)
PATIENTS_UNKNOWN = frozenset().union(*(row.patients_unknown for row in DATA_SETS.values()))


def data_set(name: str) -> DataSet:
    """Look up a data set by its name. Raises EcgclipError, with the names that there are, where it is none of them."""
    if name not in DATA_SETS:
        raise EcgclipError(f"no data set {name!r}; there are {', '.join(DATA_SETS)}")
    return DATA_SETS[name]
