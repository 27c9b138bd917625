"""LUDB."""

from __future__ import annotations

from pathlib import Path

from ecgclip.data.cases import Case, _headers, _listed
from ecgclip.knowledge.base import KnowledgeBase

LUDB_WORDS = {  # spellings of LUDB's that the knowledge base does not know
    "i degree av block": "first-degree-av-block",
    "iii degree av-block": "complete-av-block",
    "non-specific intravintricular conduction delay": "intraventricular-conduction-delay",
    "non-specific repolarization abnormalities": "nonspecific-st-t-abnormality",
    "early repolarization syndrome": "early-repolarization",
}


def ludb(root: Path, kb: KnowledgeBase) -> list[Case]:
    """LUDB (Kalyakulina et al. 2020): the header's comments name the rhythm, the axis and each finding, a line each."""

    def concept(line: str) -> str | None:
        heading, _, value = line.strip(" .").partition(": ")
        if heading == "Electric axis of the heart":
            text = value if "deviation" in value else ""  # "normal" is no normal ECG
        else:  # "Rhythm: Atrial flutter, typical"; "Ischemia: anterior wall": the finding, and more of it
            text = (value if heading == "Rhythm" else heading).split(",")[0]
        found = kb.find(LUDB_WORDS.get(text.lower(), text)) if text else None
        return found.id if found else None

    found = []
    for record, known in _headers(root):
        if any(line.startswith("Rhythm: ") for line in known["comments"]):
            found.append(("ludb", record, known, set(filter(None, map(concept, known["comments"])))))
    return _listed(root, kb, found)
