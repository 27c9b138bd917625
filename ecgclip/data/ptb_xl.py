"""PTB-XL: 21,799 records with statements and reports, in ten folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ecgclip.data.cases import Case, known_statements
from ecgclip.data.sets import SUPERCLASSES
from ecgclip.data.tables import PTB_XL_TABLE, Row, read_rows
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase


def ptb_xl(
    root: Path, kb: KnowledgeBase, folds: Iterable[int] | None = None, signals: bool = True, fine: bool = False
) -> list[Case]:
    """Load PTB-XL in its public layout (Wagner et al. 2020).

    Parameters
    ----------
    root : Path
        The folder with ptbxl_database.csv.
    kb : KnowledgeBase
        Knows the SCP-ECG statements.
    folds : iterable of int, optional
        Folds to load; None: all.
    signals : bool
        Leave out rows whose file is not there. False keeps them, for their reports.
    fine : bool
        Prefer the records at 500 Hz to those at 100 Hz; where only one of them is there, it is taken.
    """
    table = root / PTB_XL_TABLE
    if not table.exists():
        raise EcgclipError(f"{root}: no {PTB_XL_TABLE} here; give PTB-XL's top folder")
    wanted = set(folds or range(1, 11))
    vocabulary = _Vocabulary.read(root, kb)
    cases = []
    for row in read_rows(table):
        if row.integer("strat_fold") in wanted:
            paths, age = _paths(row, fine), row.age()
            there = [path for path in paths if path.with_suffix(".hea").exists()]
            if path := next(iter(there if there or signals else paths), None):
                cases.append(_case(row, path, age, vocabulary))
    return cases


def _paths(row: Row, fine: bool) -> list[Path]:
    """The files of a record, the preferred rate first."""
    columns = ("filename_hr", "filename_lr") if fine else ("filename_lr", "filename_hr")
    return [row.path_of(row.cells[column]) for column in columns if row.cells[column]]


@dataclass(frozen=True)
class _Vocabulary:
    """What the SCP-ECG statements mean: concepts, and PTB-XL's diagnostic classes and subclasses."""

    kb: KnowledgeBase
    listed: list[str]  # concepts that a statement stands for
    superclasses: Mapping[str, str]  # statement → its class
    subclasses: Mapping[str, str]

    @classmethod
    def read(cls, root: Path, kb: KnowledgeBase) -> _Vocabulary:
        rows = {row.cells[""]: row.cells for row in read_rows(root / "scp_statements.csv")}
        superclasses, subclasses = (
            {statement: cells[column] for statement, cells in rows.items() if cells[column]}
            for column in ("diagnostic_class", "diagnostic_subclass")
        )
        return cls(kb, [c.id for c in kb.concepts.values() if "scp" in c.codes], superclasses, subclasses)


def _case(row: Row, path: Path, age: float | None, vocabulary: _Vocabulary) -> Case:
    """A row as a case."""
    codes = row.scp_codes()
    present = [c.id for code in codes if (c := vocabulary.kb.by_code("scp", code))]
    superclasses = _classes(row, "diagnostic_superclass", codes, vocabulary.superclasses)
    statements = known_statements(vocabulary.kb, present, vocabulary.listed)
    reconstructed = row.cells.get("row_reconstructed") == "True"
    if reconstructed:  # only what is present is known, and the superclasses
        statements = {c: True for c, there in statements.items() if there}
    statements |= {concept: name in superclasses for name, concept in SUPERCLASSES.items()}
    return Case(
        "ptb-xl",
        str(path),
        row.cells["patient_id"] or row.cells["ecg_id"],
        statements,
        frozenset(present) | {SUPERCLASSES[name] for name in superclasses},
        complete=not reconstructed,
        report=row.cells["report"],
        fold=row.integer("strat_fold"),
        age=age,
        sex=row.sex(),
        subclasses=frozenset(_classes(row, "diagnostic_subclass", codes, vocabulary.subclasses)),
        device=next(iter(row.cells.get("device", "").split()), ""),  # "CS-12   E": the model, not its software
    )


def _classes(row: Row, column: str, codes: Iterable[str], class_of: Mapping[str, str]) -> set[str]:
    """The classes that a column of the table states, or, where there is no such column, those of the codes."""
    if column in row.cells:
        return set(filter(None, row.cells[column].split(";")))
    return {class_of[code] for code in codes if code in class_of}
