"""PTB-XL."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable
from pathlib import Path

from ecgclip.data.cases import SUPERCLASSES, Case, known_statements
from ecgclip.data.tables import below, line_of, years
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase


def ptb_xl(
    root: Path, kb: KnowledgeBase, folds: Iterable[int] | None = None, signals: bool = True, fine: bool = False
) -> list[Case]:
    """PTB-XL in its public layout (Wagner et al. 2020); folds=None means all.

    Each record at 100 Hz or, where only that is there or `fine` prefers it, at 500 Hz. Rows whose file is not there are left out;
    signals=False gives the rows for their reports alone.
    """
    table = root / "ptbxl_database.csv"
    if not table.exists():
        raise EcgclipError(f"{root}: no ptbxl_database.csv here; give PTB-XL's top folder")
    folds = set(folds or range(1, 11))
    listed = [c.id for c in kb.concepts.values() if "scp" in c.codes]
    classes, subclasses = (_classes(root, f"diagnostic_{kind}") for kind in ("class", "subclass"))
    cases = []
    with table.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines)
        for row in rows:
            if int(row["strat_fold"]) not in folds:
                continue
            names = [row[name] for name in sorted(("filename_hr", "filename_lr"), reverse=not fine) if row[name]]
            with line_of(table, rows):
                paths, age = [below(root, name) for name in names], years(row["age"], ptb_xl=True)
            path = next((p for p in paths if p.with_suffix(".hea").exists()), None if signals else paths[0])
            if path is None:
                continue
            codes = ast.literal_eval(row["scp_codes"])
            partial = row.get("row_reconstructed") == "True"
            present = [c.id for code in codes if (c := kb.by_code("scp", code))]
            statements = known_statements(kb, present, listed)
            if partial:  # only what is known to be present, and the superclasses below
                statements = {c: True for c, there in statements.items() if there}
            superclass, subclass = (
                set(filter(None, row[column].split(";"))) if column in row else {names[c] for c in codes if c in names}
                for column, names in (("diagnostic_superclass", classes), ("diagnostic_subclass", subclasses))
            )
            statements.update({concept: name in superclass for name, concept in SUPERCLASSES.items()})
            annotated = frozenset(present) | {SUPERCLASSES[s] for s in superclass}
            sex = {"0": "male", "1": "female"}.get(row["sex"][:1])
            cases.append(
                Case(
                    "ptb-xl",
                    str(path),
                    row["patient_id"] or row["ecg_id"],
                    statements,
                    annotated,
                    not partial,
                    row["report"],
                    int(row["strat_fold"]),
                    age,
                    sex,
                    subclasses=frozenset(subclass),
                    device=next(iter(row.get("device", "").split()), ""),  # "CS-12   E": the model, not its software
                )
            )
    return cases


def _classes(root: Path, column: str) -> dict[str, str]:
    """SCP-ECG statement → its class in a column of scp_statements.csv."""
    with (root / "scp_statements.csv").open(newline="", encoding="utf-8") as rows:
        return {row[""]: row[column] for row in csv.DictReader(rows) if row[column]}
