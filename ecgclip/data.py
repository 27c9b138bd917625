"""Training and test data: public data sets become cases, cases become windows.

    folder in its public layout ──loader──▶ cases (a record, what is known of it) ──prepare, measure──▶ windows (arrays)

What a data set does not annotate is unknown, never absent: `statements` holds only what is known.
"""

from __future__ import annotations

import ast
import csv
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ecgclip.beats import r_peaks
from ecgclip.ecg import ECG, EcgclipError, find_records, read_ecg, read_metadata
from ecgclip.knowledge import KnowledgeBase
from ecgclip.measure import features, findings, measure
from ecgclip.prepare import SAMPLING_RATE, prepare

MAX_BEATS = 40  # in a 10 s window: 240 beats a minute
VARIANTS = 8  # lead subsets of a window in which it is measured for training
UNKNOWN = -1
LIMB = slice(0, 6)  # of the twelve leads

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

    def share(self, parts: int) -> int:
        """A number below `parts`, the same for all records of a patient."""
        return zlib.crc32(f"{self.source}/{self.patient}".encode()) % parts


def known_statements(kb: KnowledgeBase, present: Iterable[str], listed: Iterable[str]) -> dict[str, bool]:
    """What follows from the `present` ones out of the `listed` concepts: broader concepts too, absent where no part is present."""
    present, listed = set(present), set(listed)
    statements = {c: False for c in listed | {a for c in listed for a in kb.ancestors(c)}}
    statements.update({c: True for p in present for c in {p} | kb.ancestors(p)})
    return statements


def ptb_xl(root: Path, kb: KnowledgeBase, folds: Iterable[int] | None = None, signals: bool = True) -> list[Case]:
    """PTB-XL in its public layout (Wagner et al. 2020), 100 Hz records; folds=None means all.

    Rows whose file is not there are left out; signals=False gives the rows for their reports alone.
    """
    table = root / "ptbxl_database.csv"
    if not table.exists():
        raise EcgclipError(f"{root}: no ptbxl_database.csv here; give PTB-XL's top folder")
    folds = set(folds or range(1, 11))
    listed = [c.id for c in kb.concepts.values() if "scp" in c.codes]
    classes, subclasses = (_classes(root, f"diagnostic_{kind}") for kind in ("class", "subclass"))
    cases = []
    with table.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            path = root / row["filename_lr"]
            if int(row["strat_fold"]) not in folds or (signals and not path.with_suffix(".hea").exists()):
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
            age = float(row["age"]) if row["age"] else None
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
            try:
                age = float(row["age"]) if row.get("age") else None
            except ValueError:
                raise EcgclipError(f"{table}: line {rows.line_num}: age {row['age']!r} is no number") from None
            sex = {"m": "male", "f": "female"}.get((row.get("sex") or "").strip().lower()[:1])
            about = {"patient": row.get("patient"), "age": age, "sex": sex}
            record = str(root / (row["record"] or "").removesuffix(".hea"))
            if not row["record"] or not Path(record).is_relative_to(root):
                raise EcgclipError(f"{table}: line {rows.line_num}: record {row['record']!r} is no path below {root}")
            found.append(("labelled", record, about, {c.id for c in known.values() if c}))
    if unknown:
        print(f"note: not in the knowledge base, so left out: {', '.join(sorted(unknown))}", file=sys.stderr)
    return _listed(root, kb, found)


LOADERS: dict[str, Callable[..., list[Case]]] = {
    "ptb-xl": ptb_xl,
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


@dataclass(frozen=True)
class Windows:
    """Cases as arrays, one row a window.

    signal float16 (n, 12, 1000) mV, mask bool (n, 12), length int (n,), r_peaks float32 (n, MAX_BEATS) s with NaN padding,
    leads bool (n, VARIANTS, 12), lead subsets, the first of them `mask`; features float32 (n, VARIANTS, …), measured in each;
    findings int8 (n, keys), beats int16 (n, MAX_BEATS) index into `beat_concepts`; 1 present, 0 absent, -1 unknown;
    case int (n,) index into the cases.
    """

    signal: np.ndarray
    mask: np.ndarray
    length: np.ndarray
    r_peaks: np.ndarray
    leads: np.ndarray
    features: np.ndarray
    findings: np.ndarray
    beats: np.ndarray
    case: np.ndarray
    finding_keys: tuple[str, ...]
    beat_concepts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.case)


def case_windows(case: Case, keys: tuple[str, ...], most: int = 3) -> list[dict[str, np.ndarray]]:
    """The first `most` windows of a case, prepared, with R peaks and findings."""
    ecg = read_ecg(case.path)
    if case.stop_s is not None:
        first, last = (round(s * ecg.sampling_rate) for s in (case.start_s, case.stop_s))
        ecg = ECG(ecg.signal[:, first:last], ecg.sampling_rate, ecg.leads, ecg.metadata, ecg.source)
    prepared = prepare(ecg)
    rows = []
    for signal, mask, length in list(zip(prepared.signal, prepared.mask, prepared.length, strict=True))[:most]:
        peaks = r_peaks(signal[:, :length], mask)[:MAX_BEATS]
        measurement = measure(signal[:, :length], mask, peaks)
        found = findings(measurement, case.age, case.sex)
        rng = np.random.default_rng([zlib.crc32(case.path.encode()), len(rows)])
        leads = np.stack([mask, *(mask & keep_leads(rng) for _ in range(VARIANTS - 1))])
        leads[~leads.any(1)] = mask
        measured = {mask.tobytes(): features(measurement)}  # a record of one lead has but one variant
        for kept in leads:
            if kept.tobytes() not in measured:
                measured[kept.tobytes()] = features(measure(signal[:, :length] * kept[:, None], kept, peaks))
        seconds = np.full(MAX_BEATS, np.nan, np.float32)
        seconds[: len(peaks)] = peaks / SAMPLING_RATE
        rows.append(
            {
                "signal": signal.astype(np.float16),
                "mask": mask,
                "length": length,
                "r_peaks": seconds,
                "leads": leads,
                "features": np.stack([measured[kept.tobytes()] for kept in leads]),
                "findings": np.array([UNKNOWN if found[k] is None else found[k] for k in keys], np.int8),
                "beats": _match_beats(seconds, case.beats),
            }
        )
    return rows


def keep_leads(rng: np.random.Generator) -> np.ndarray:
    """A subset as devices have it: one lead, two, the limb leads, or any; two limb leads give all six, as in prepare()."""
    kind = rng.random()
    keep = np.zeros(12, bool)
    if kind < 0.4:
        keep[rng.choice([0, 1, 6]) if rng.random() < 0.7 else rng.integers(12)] = True
    elif kind < 0.6:
        keep[[1, rng.integers(6, 12)]] = True
    elif kind < 0.75:
        keep[LIMB] = True
    else:
        keep[rng.permutation(12)[: rng.integers(2, 12)]] = True
    if keep[LIMB].sum() >= 2:
        keep[LIMB] = True
    return keep


def _match_beats(r_peaks_s: np.ndarray, beats: tuple[tuple[float, str], ...]) -> np.ndarray:
    kinds = sorted(set(BEATS.values()))
    out = np.full(MAX_BEATS, UNKNOWN, np.int16)
    for i, peak in enumerate(r_peaks_s):
        near = min(beats, key=lambda b: abs(b[0] - peak), default=None) if np.isfinite(peak) else None
        if near and abs(near[0] - peak) < 0.15:  # the tolerance of ANSI/AAMI EC57
            out[i] = kinds.index(near[1])
    return out


def _stamp(record: str) -> list[float]:
    """Size and time of a record's files: another file of the same name is another record."""
    files = [Path(f"{record}{ending}") for ending in (".hea", ".dat", ".mat")]
    return [x for f in files if f.exists() for x in (f.stat().st_size, f.stat().st_mtime)]


def _try_windows(job: tuple[Case, tuple[str, ...]]) -> list[dict] | str:
    try:
        return case_windows(*job)
    except EcgclipError as error:
        return str(error)


def load_windows(
    cases: list[Case], cache: Path | None = None, workers: int = 1, log: Callable[[str], None] = print
) -> Windows:
    """Prepare and measure `cases`, by `workers` processes; a record that cannot be read is logged and left out.

    `cache` is a folder that keeps the arrays: they are made again when the cases, the records' list or the code's
    preparation differ.
    """
    from rich.progress import track

    from ecgclip.measure import finding_texts

    keys = tuple(finding_texts())
    modules = ("ecg", "prepare", "beats", "measure", "data")
    code = b"".join((Path(__file__).parent / f"{m}.py").read_bytes() for m in modules)
    described = json.dumps([[c.path, *_stamp(c.path), c.start_s, c.stop_s, c.age, c.sex, c.beats] for c in cases])
    digest = hashlib.sha256(code + described.encode() + json.dumps(keys).encode()).hexdigest()[:16]
    file = cache / f"windows-{digest}.npz" if cache else None
    if file and file.exists():
        with np.load(file, allow_pickle=False) as stored:
            columns = {k: stored[k] for k in stored.files}
    else:
        jobs = [(c, keys) for c in cases]
        with ProcessPoolExecutor(workers) as pool:
            results = pool.map(_try_windows, jobs, chunksize=16)
            done = list(track(results, "preparing", len(jobs)))
        rows, index = [], []
        for i, result in enumerate(done):
            if isinstance(result, str):
                log(f"left out: {result}")
            else:
                rows += result
                index += [i] * len(result)
        if not rows:
            raise EcgclipError("no record of the training data could be read")
        columns = {k: np.stack([r[k] for r in rows]) for k in rows[0]} | {"case": np.array(index)}
        if file:
            cache.mkdir(parents=True, exist_ok=True)
            partial = file.with_suffix(".partial.npz")
            np.savez(partial, **columns)
            partial.rename(file)
    return Windows(**columns, finding_keys=keys, beat_concepts=tuple(sorted(set(BEATS.values()))))
