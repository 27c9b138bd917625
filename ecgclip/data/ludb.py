"""LUDB, the Lobachevsky University database: 200 records with cardiologists' diagnoses in the headers."""

from __future__ import annotations

from pathlib import Path

from ecgclip.data.cases import Case, LabelledRecord, make_cases, read_headers
from ecgclip.knowledge.base import KnowledgeBase

# spellings of LUDB's that the knowledge base does not know
LUDB_WORDS = {
    "i degree av block": "first-degree-av-block",
    "iii degree av-block": "complete-av-block",
    "non-specific intravintricular conduction delay": "intraventricular-conduction-delay",
    "non-specific repolarization abnormalities": "nonspecific-st-t-abnormality",
    "early repolarization syndrome": "early-repolarization",
}


def ludb(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Load LUDB (Kalyakulina et al. 2020): the header names the rhythm, the axis and each finding in a comment line."""
    records = []
    for record, header in read_headers(root):
        lines = header["comments"]
        if any(line.startswith("Rhythm: ") for line in lines):
            present = frozenset(concept for line in lines if (concept := _concept(line, kb)))
            records.append(LabelledRecord("ludb", record, present, age=header.get("age"), sex=header.get("sex")))
    return make_cases(root, kb, records)


def _concept(line: str, kb: KnowledgeBase) -> str | None:
    """The concept that a comment line names, if any."""
    heading, _, value = line.strip(" .").partition(": ")
    if heading == "Electric axis of the heart":
        text = value if "deviation" in value else ""  # a normal axis is not a normal ECG
    else:  # "Rhythm: Atrial flutter, typical"; "Ischemia: anterior wall": the finding, and more about it
        text = (value if heading == "Rhythm" else heading).split(",")[0]
    concept = kb.find(LUDB_WORDS.get(text.lower(), text)) if text else None
    return concept.id if concept else None
