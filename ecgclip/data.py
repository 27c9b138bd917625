"""Training and test data: public data sets become cases (`windows` makes arrays of them).

    folder in its public layout ──loader──▶ cases: a record, and what is known of it

What a data set does not annotate is unknown, never absent: `statements` holds only what is known.
"""

from __future__ import annotations

import ast
import csv
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ecgclip.ecg import EcgclipError, find_records, read_metadata
from ecgclip.facts import below, line_of, years
from ecgclip.knowledge import KnowledgeBase
from ecgclip.words import HEDGED

UNKNOWN = -1

# PTB-XL's superclasses and the concepts of the same meaning
SUPERCLASSES = {
    "NORM": "normal-ecg",
    "MI": "myocardial-infarction",
    "STTC": "st-t-change",
    "CD": "conduction-disturbance",
    "HYP": "hypertrophy",
}
# Concepts that a measurement decides, whoever wrote the report (a cardiologist rarely codes what is plain to see): present
# with any of these findings, absent without all of them. A key that ends in ":" stands for all its territories.
MEASURED_CONCEPTS = {
    "tachycardia": ("rate_above_100",),
    "bradycardia": ("rate_below_60",),
    "left-axis-deviation": ("axis_left",),
    "right-axis-deviation": ("axis_right",),
    "extreme-axis-deviation": ("axis_extreme",),
    "short-pr-interval": ("pr_below_120",),
    "poor-r-wave-progression": ("poor_r_progression",),
    "prolonged-qt-interval": ("qtc_prolonged",),
    "short-qt-interval": ("qtc_short",),
    "st-elevation": ("st_elevation:",),
    "tall-t-waves": ("t_tall:",),
}
# Concepts that PTB-XL's cardiologists code where nothing else explains the finding, and others wherever they see it: not coded
# means absent only where it is not measured either.
DOUBTED_CONCEPTS = {
    "sinus-bradycardia": ("rate_below_60",),
    "st-depression": ("st_depression:",),
    "t-wave-inversion": ("t_inversion:",),
}
# The inter-patient split of MIT-BIH by de Chazal et al. (2004), without the four paced records, as AAMI EC57 asks
DS1 = [
    "101",
    "106",
    "108",
    "109",
    "112",
    "114",
    "115",
    "116",
    "118",
    "119",
    "122",
    "124",
    "201",
    "203",
    "205",
    "207",
    "208",
    "209",
    "215",
    "220",
    "223",
    "230",
]
DS2 = [
    "100",
    "103",
    "105",
    "111",
    "113",
    "117",
    "121",
    "123",
    "200",
    "202",
    "210",
    "212",
    "213",
    "214",
    "219",
    "221",
    "222",
    "228",
    "231",
    "232",
    "233",
    "234",
]
# MIT-BIH beat and rhythm annotations
BEATS = {
    "N": "normal-beat", "L": "left-bundle-branch-block-beat", "R": "right-bundle-branch-block-beat",
    "A": "premature-atrial-contraction", "a": "aberrated-atrial-premature-beat", "J": "nodal-premature-beat",
    "S": "supraventricular-premature-beat", "V": "premature-ventricular-contraction", "F": "fusion-beat",
    "e": "atrial-escape-beat", "j": "nodal-escape-beat", "E": "ventricular-escape-beat", "/": "paced-beat",
    "f": "fusion-of-paced-and-normal-beat", "Q": "unclassifiable-beat",
}  # fmt: skip
RHYTHMS = {
    "(N": "sinus-rhythm", "(AFIB": "atrial-fibrillation", "(AFL": "atrial-flutter", "(B": "ventricular-bigeminy",
    "(T": "ventricular-trigeminy", "(P": "paced-rhythm", "(BII": "second-degree-av-block", "(SBR": "sinus-bradycardia",
    "(SVTA": "supraventricular-tachycardia", "(VT": "ventricular-tachycardia", "(NOD": "junctional-rhythm",
    "(IVR": "idioventricular-rhythm", "(VFL": "ventricular-flutter", "(PREX": "ventricular-preexcitation", "(AB": "atrial-bigeminy",
}  # fmt: skip
# Of Challenge 2020: PTB Diagnostic and INCART, with several records of many patients and no word of whose they are
UNTOLD = {"S", "I"}


@dataclass(frozen=True)
class Case:
    """A record (or a stretch of it) and what is known of it."""

    source: str
    path: str
    patient: str
    statements: dict[str, bool] = field(default_factory=dict)  # concept id → present; a concept not here is unknown
    annotated: frozenset[str] = (
        frozenset()
    )  # of those present, the ones written in the source, without what follows from them
    complete: bool = False  # every statement of the source's list is known, so that a report can be composed
    report: str = ""
    fold: int = 0
    age: float | None = None
    sex: str | None = None
    start_s: float = 0.0
    stop_s: float | None = None
    beats: tuple[tuple[float, str], ...] = ()  # (s, concept id)
    subclasses: frozenset[str] | None = None  # PTB-XL's names of the diagnostic subclasses; None: unknown
    device: str = ""

    @property
    def person(self) -> str:
        """The same for all records of a patient, and for all of a source that does not tell which records are of one."""
        return self.source if self.source in UNTOLD else f"{self.source}/{self.patient}"

    def share(self, parts: int) -> int:
        """A number below `parts`, the same for all records of a person."""
        return zlib.crc32(self.person.encode()) % parts


def known_statements(kb: KnowledgeBase, present: Iterable[str], listed: Iterable[str]) -> dict[str, bool]:
    """What follows from the `present` ones out of the `listed` concepts: broader concepts too, absent where no part is present."""
    present, listed = set(present), set(listed)
    statements = {c: False for c in listed | {a for c in listed for a in kb.ancestors(c)}}
    statements.update({c: True for p in present for c in {p} | kb.ancestors(p)})
    return statements


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


def challenge_2017(root: Path, kb: KnowledgeBase) -> list[Case]:
    """PhysioNet/CinC Challenge 2017: one hand-held lead; normal, AF, other rhythm or too noisy."""
    meaning = {
        "N": {"sinus-rhythm": True, "atrial-fibrillation": False, "atrial-flutter": False, "irregular-rhythm": False},
        "A": {"atrial-fibrillation": True, "sinus-rhythm": False},
        "O": {"irregular-rhythm": True, "atrial-fibrillation": False},
        "~": {},
    }
    cases = []
    for record, label in _reference(root, "REFERENCE-v3.csv", "REFERENCE.csv"):
        if label not in meaning:
            raise EcgclipError(
                f"{root}: the reference calls {record.name} {label!r}, which is none of {', '.join(meaning)}"
            )
        statements = meaning[label] | {"poor-signal-quality": label == "~"}
        cases.append(Case("challenge-2017", str(record), record.name, statements))
    return cases


def challenge_2011(root: Path, kb: KnowledgeBase) -> list[Case]:
    """PhysioNet/CinC Challenge 2011: acceptable signal quality or not."""
    return [
        Case("challenge-2011", str(record), record.name, {"poor-signal-quality": label == "0"})
        for record, label in _reference(root, "REFERENCE.csv")
    ]


def _reference(root: Path, *names: str) -> list[tuple[Path, str]]:
    """Records, without .hea and in `root` or below it, with their labels; of the tables the first that is there."""
    table = next((root / name for name in names if (root / name).exists()), None)
    if table is None:
        raise EcgclipError(f"{root}: no {' or '.join(reversed(names))} here")
    records = {file.stem: file.with_suffix("") for file in root.rglob("*.hea")}
    with table.open(newline="", encoding="utf-8") as rows:
        # the public file has no header row, some copies have one: its "record" is no record
        return [(records[row[0]], row[1]) for row in csv.reader(rows) if len(row) > 1 and row[0] in records]


def mitdb(root: Path, kb: KnowledgeBase, every_s: float = 20.0) -> list[Case]:
    """MIT-BIH Arrhythmia Database: a 10 s stretch every `every_s`, with its beats and, where one rhythm fills it, that rhythm.

    fold: 1 and 2 for the record sets DS1 and DS2, else 0.
    """
    import wfdb

    cases = []
    for header in sorted(root.glob("*.hea")):
        if not header.with_suffix(".atr").exists():
            continue
        record = str(header.with_suffix(""))
        notes = wfdb.rdann(record, "atr")
        seconds = notes.sample / notes.fs
        changes = [
            (t, RHYTHMS.get(n.rstrip("\x00")))
            for t, n in zip(seconds, notes.aux_note, strict=True)
            if n.startswith("(")
        ]
        beats = [(t, BEATS[s]) for t, s in zip(seconds, notes.symbol, strict=True) if s in BEATS]
        for start in np.arange(0, seconds[-1] - 10, every_s):
            inside = tuple((float(t - start), b) for t, b in beats if start <= t < start + 10)
            until = [t for t, _ in changes[1:]] + [np.inf]
            filling = [r for (t, r), end in zip(changes, until, strict=False) if r and t <= start and start + 10 <= end]
            kinds = {b for _, b in inside}
            statements = {}
            if filling:
                statements = {r: False for r in RHYTHMS.values()} | {
                    c: True for c in {filling[0]} | kb.ancestors(filling[0])
                }
            for concept in ("premature-ventricular-contraction", "premature-atrial-contraction"):
                statements[concept] = concept in kinds
            cases.append(
                Case(
                    "mitdb",
                    record,
                    "201" if header.stem == "202" else header.stem,  # the same man
                    statements,
                    fold=1 if header.stem in DS1 else 2 if header.stem in DS2 else 0,
                    start_s=float(start),
                    stop_s=float(start + 10),
                    beats=inside,
                )
            )
    return cases


def folder(root: Path, kb: KnowledgeBase, source: Callable[[str], str] = lambda record: "folder") -> list[Case]:
    """WFDB records with a `#Dx` line of SNOMED CT codes or abbreviations, as in the CinC challenges 2020 and 2021.

    A concept that some record of a source names is annotated there, so absent where it is not named; all others are unknown.
    `source` tells the source from the record's name. Unreadable headers are left out, and those without a diagnosis line.
    """
    found = []
    for record, known in _headers(root):
        if known.get("dx"):
            present = {c.id for code in known["dx"] if (c := kb.by_code("snomed", code) or kb.find(code))}
            found.append((source(Path(record).name), record, known, present))
    return _listed(root, kb, found)


def _headers(root: Path) -> Iterator[tuple[str, dict]]:
    """Every record below `root` with what its header tells."""
    for record in find_records(root):
        with suppress(EcgclipError):
            yield record, read_metadata(record)


def _listed(root: Path, kb: KnowledgeBase, found: list[tuple[str, str, dict, set[str]]]) -> list[Case]:
    """Source, record, metadata (age, sex, patient) and concepts present → cases: what a source names somewhere, it annotates."""
    listed: dict[str, set[str]] = {}
    for name, _, _, present in found:
        listed.setdefault(name, set()).update(present)
    return [
        Case(
            name,
            record,
            known.get("patient")
            or Path(record).relative_to(root).as_posix(),  # the same split wherever the folder lies
            known_statements(kb, present, listed[name]),
            frozenset(present),
            complete=True,
            age=known.get("age"),
            sex=known.get("sex"),
        )
        for name, record, known, present in found
    ]


def challenge_2020(root: Path, kb: KnowledgeBase) -> list[Case]:
    """The CinC Challenge 2020/21 folders: the letters before a record's number tell the source, each with labels of its own."""
    return folder(root, kb, lambda record: record.rstrip("0123456789"))


def cpsc_2018(root: Path, kb: KnowledgeBase) -> list[Case]:
    """CPSC2018: the A… records, of which nine classes are annotated; no other finding of theirs is."""
    nine = {kb.find(c).id for c in ("AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")} | {"normal-ecg"}
    cases = []
    for case in challenge_2020(root, kb):
        if case.source == "A":
            # its class "normal" is written as SNOMED CT's sinus rhythm in the later releases
            present = {"normal-ecg" if c == "sinus-rhythm" else c for c in case.annotated} & nine
            cases.append(replace(case, annotated=frozenset(present), statements={c: c in present for c in nine}))
    return cases


def chapman(root: Path, kb: KnowledgeBase) -> list[Case]:
    """Chapman–Shaoxing–Ningbo as on PhysioNet (Zheng et al. 2022): WFDBRecords/NN/NNN/JSnnnnn, with `#Dx` lines."""
    return folder(root, kb, lambda record: "chapman")


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


def labelled(root: Path, kb: KnowledgeBase) -> list[Case]:
    """A folder with labels.csv: `record` (its path from there), `labels` (separated by ";"), and any of patient, age, sex.

    A label is a name, abbreviation or code that the knowledge base knows; a line on stderr names the others.
    """
    table = root / "labels.csv"
    if not table.exists():
        raise EcgclipError(f"{root}: no labels.csv here, with the columns record and labels")
    found, unknown = [], set()
    with table.open(newline="", encoding="utf-8-sig") as lines:
        rows = csv.DictReader(lines)
        if missing := {"record", "labels"} - set(rows.fieldnames or ()):
            raise EcgclipError(f"{table}: has no column {sorted(missing)[0]}")
        for row in rows:
            codes = [code.strip() for code in (row["labels"] or "").split(";") if code.strip()]
            known = {code: kb.by_code("snomed", code) or kb.find(code) for code in codes}
            unknown |= {code for code, concept in known.items() if concept is None}
            with line_of(table, rows):
                record = str(below(root, (row["record"] or "").removesuffix(".hea")))
                age = years(row.get("age") or "")
            sex = {"m": "male", "f": "female"}.get((row.get("sex") or "").strip().lower()[:1])
            about = {"patient": row.get("patient"), "age": age, "sex": sex}
            found.append(("labelled", record, about, {c.id for c in known.values() if c}))
    if unknown:
        print(f"note: not in the knowledge base, so left out: {', '.join(sorted(unknown))}", file=sys.stderr)
    return _listed(root, kb, found)


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


LOADERS: dict[str, Callable[..., list[Case]]] = {
    "ptb-xl": ptb_xl,
    "mimic-iv-ecg": mimic_iv_ecg,
    "challenge-2017": challenge_2017,
    "challenge-2011": challenge_2011,
    "mitdb": mitdb,
    "folder": folder,
    "challenge-2020": challenge_2020,
    "cpsc2018": cpsc_2018,
    "chapman": chapman,
    "ludb": ludb,
    "csv": labelled,
}
MAIN = ("ptb-xl", "mimic-iv-ecg", "folder")  # sources with a full list of statements; a recipe needs one
REPORTED_BY = ("ptb-xl", "mimic-iv-ecg")  # sources with reports
