"""MIMIC-IV-ECG."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

from ecgclip.data.cases import Case, _listed
from ecgclip.data.tables import below, line_of
from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.words import HEDGED

PARTS = re.compile(r"\s*(?:,|;|\s-\s|\bwith\b|\band\b)\s*", re.IGNORECASE)


def mimic_iv_ecg(root: Path, kb: KnowledgeBase, signals: bool = True) -> list[Case]:
    """MIMIC-IV-ECG as on PhysioNet (Gow et al. 2023): record_list.csv, machine_measurements.csv and files/p…/s…/….

    A report is the device's lines, report_0 to report_17; a statement is a line, or a part of one, that the knowledge base knows by
    name. What the device states somewhere is absent where it is not stated; what it hedges ("possible …") is unknown, and all that is
    broader.
    Rows whose file is not there are left out; signals=False gives them for their reports alone.
    """
    tables = [root / name for name in ("record_list.csv", "machine_measurements.csv")]
    if missing := [table for table in tables if not table.exists()]:
        raise EcgclipError(f"{root}: no {missing[0].name} here; give MIMIC-IV-ECG's top folder")
    known: dict[str, tuple[set[str], set[str]]] = {}  # the same lines come again and again

    def meaning(line: str) -> tuple[set[str], set[str]]:
        """→ concepts stated, concepts hedged."""
        if line not in known:
            known[line] = set(), set()
            for part in [line] if kb.find(line) else PARTS.split(line):
                hedge = HEDGED.match(part)
                if concept := kb.find(part[hedge.end() :] if hedge else part):
                    known[line][bool(hedge)].add(concept.id)
        return known[line]

    reports: dict[str, list[str]] = {}
    with tables[1].open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            lines = [row[f"report_{i}"].strip() for i in range(18) if row.get(f"report_{i}")]
            reports[row["study_id"]] = [line.rstrip(". ") for line in lines if line]
    found, hedged, texts = [], [], []
    with tables[0].open(newline="", encoding="utf-8") as listed:
        rows = csv.DictReader(listed)
        for row in rows:
            with line_of(tables[0], rows):
                path = below(root, row["path"])
            lines = reports.get(row["study_id"])
            if lines and (not signals or path.with_suffix(".hea").exists()):
                meanings = [meaning(line) for line in lines]
                present = set().union(*(stated for stated, _ in meanings))
                doubted = set().union(*(doubted for _, doubted in meanings))
                hedged.append(doubted.union(*map(kb.ancestors, doubted)))
                found.append(("mimic-iv-ecg", str(path), {"patient": row["subject_id"]}, present))
                texts.append(". ".join(lines) + ".")
    cases = _listed(root, kb, found)
    return [
        replace(c, report=text, statements={k: v for k, v in c.statements.items() if v or k not in doubt})
        for c, text, doubt in zip(cases, texts, hedged, strict=True)
    ]
