"""Zero-shot evaluation: figures for each label with bootstrap intervals, beside a random encoder; two models in pairs.

cases ─embed (as a user does)─▶ similarities to the prompts ─▶ metrics, 95 % interval by patient ─▶ results.json, .md, .png
                             └▶ descriptions ─▶ precision and recall of their statements, beside the nearest neighbour's
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecgclip.data import Case
from ecgclip.ecg import ECG, LEADS, EcgclipError, read_ecg
from ecgclip.encoder import ECGEncoder
from ecgclip.files import write_atomic
from ecgclip.knowledge import KnowledgeBase, load_label_set
from ecgclip.metrics import RESAMPLES, Labels, auroc_table, calibration, difference, label_table
from ecgclip.model import ECGCLIP, Embedding, combine, leaf_vectors, load_model, weights_hash
from ecgclip.prepare import SAMPLING_RATE, prepare
from ecgclip.splits import PUBLISHED, load, sources, tested

NAMINGS = ("code", "en", "de")
SHORT_NAMES = {  # what PTB-XL's label sets may be called where the data set is given
    "superclass": "ptb-xl-super",
    "subclass": "ptb-xl-sub",
    "form": "ptb-xl-form",
    "rhythm": "ptb-xl-rhythm",
    "all": "ptb-xl-all",
}
BATCH = 32  # ECGs embedded at once
AGE_BANDS = (("<40", 40), ("40–64", 65), ("65–79", 80), ("80+", float("inf")))  # name, years below
LANGUAGE_WORDS = {  # frequent in PTB-XL's reports of one language, and in none of the others
    "English": "ecg rhythm the and is are with of or to may due left right branch atrial ventricular wave waves sinus heart",
    "German": "ekg sinusrhythmus lagetyp linkstyp rechtstyp steiltyp normales infarkt oder und mit nicht bei sonst "
    "wahrscheinlich möglich vorhofflimmern sinusbradykardie sinustachykardie schrittmacher linksschenkelblock "
    "rechtsschenkelblock linkshypertrophie bericht",
    "Swedish": "och med ej är eller normalt sinusrytm avvikande bör sinusbradykardi sinustakykardi förmaksflimmer vänster",
}


def zeroshot(
    dataset: str,
    path: str | Path,
    label_set: str,
    out: str | Path | None = None,
    *,
    fold: int | Sequence[int] | None = None,
    naming: str = "code",
    enrich: bool = True,
    leads: Sequence[str] | None = None,
    least: int = 5,
    labelled: bool = False,
    weights: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a data set on a label set (or "annotated": all that the data set names) and write results into `out`.

    naming: what is typed: the label set's codes, or its English or German names. leads: only these are shown to the model.
    least: labels with fewer positives (or negatives) are listed but not in the macro average. labelled: without the records
    that have no label of the set, as in the published splits of PTB-XL (Strodthoff et al. 2021; MERL, Liu et al. 2024).
    Raises EcgclipError for a data set or label set that is not there, or one without a usable label.
    """
    if naming not in NAMINGS:
        raise EcgclipError(f"naming {naming!r} is none of {', '.join(NAMINGS)}")
    if unknown := set(leads or ()) - set(LEADS):
        raise EcgclipError(f"unknown lead {sorted(unknown)[0]!r}; leads are {', '.join(LEADS)}")
    model = load_model(weights)
    fold = PUBLISHED.get(dataset) if fold is None else fold
    cases = test_cases(model, dataset, Path(path), fold)
    labels = choose_labels(model, dataset, label_set, cases, naming)
    if labelled:
        cases = with_a_label(cases, labels)
    prompts = [model.prompt(n, enrich, labels.fixed.get(n)) for n in labels.names]
    vectors = leaf_vectors(prompts)
    embed = beat_vectors if labels.beats else mean_vectors
    annotated = sum(len(case.beats) for case in cases)
    (ours, random), cases = embed([model, random_encoder(model, seed)], cases, leads)
    truth, patients = truth_table(cases, labels), patient_numbers(cases)
    if not (truth >= 0).any():
        raise EcgclipError(f"label set {label_set}: the data set {dataset} says nothing of any of its labels")
    leaves = [leaf for prompt in prompts for leaf in prompt.leaves]
    probability = combine(prompts, model.probability(ours @ vectors.T, leaves), whole=1)
    similarity, chance = (combine(prompts, rhythm @ vectors.T, whole=0) for rhythm in (ours, random))
    threshold = model.config.threshold
    rows, macro = label_table(similarity, truth, patients, labels, least, seed, probability, threshold)
    calibrated = calibration(probability, truth, patients, seed)
    named = model.config.training.get("concepts")
    for row in rows:
        row["trained"] = None if named is None else row["concept"] in named
    results = {
        "task": "zeroshot",
        "dataset": dataset,
        "label_set": label_set,
        "fold": fold,
        "naming": naming,
        "enriched": enrich,
        "leads": list(leads or LEADS),
        "labelled_only": labelled,
        "source_trained": source_trained(model, dataset),
        "records": len(cases) if not labels.beats else len({c.path for c in cases}),
        **({"beats": {"annotated": annotated, "scored": len(cases)}} if labels.beats else {}),
        "patients": int(patients.max()) + 1,
        "least_positives": least,
        "threshold": threshold,
        **provenance(weights, cases, seed),
        "macro": {"auroc": None, **macro, "ece": calibrated["ece"][0], "brier": calibrated["brier"][0]},
        "random_encoder": {"auroc": None, **label_table(chance, truth, patients, labels, least, seed)[1]},
        "calibration": calibrated,
        "subgroups": subgroups(similarity, truth, cases, labels, least, seed),
        "labels": rows,
    }
    scores = scores_file(cases, Path(path), labels, truth, similarity, probability)
    return save(out, results, scores)


# --- what is tested on ------------------------------------------------------------------------------------------------


def test_cases(model: ECGCLIP, dataset: str, path: Path, fold: int | Sequence[int] | None = None) -> list[Case]:
    """The cases to test on (splits.tested); of a source with a test part, only that.

    fold: of ptb-xl one or more of 1 to 10, by default 10, which is the published test split; of mitdb the record sets 1 or 2
    of the inter-patient split, by default 2. Where the model was trained on them all the same, a line on stderr says so.
    """
    fold = PUBLISHED.get(dataset) if fold is None else fold
    folds = {fold} if isinstance(fold, int) else set(fold or ())
    cases, seen = tested(dataset, load_cases(model, dataset, path, folds), model.config.training)
    if seen:
        print("note: the model was trained on these records: the figures say nothing of new ones", file=sys.stderr)
    if not cases:
        of = f" of fold {', '.join(map(str, sorted(folds)))}" if folds else ""
        raise EcgclipError(f"{path}: holds no record of {dataset}{of} to test on")
    return cases


def source_trained(model: ECGCLIP, dataset: str) -> bool | None:
    """Whether training saw records of this data set, be it of other patients; None of a model that does not say."""
    known = model.config.training
    return dataset in sources(known) if known else None


def load_cases(model: ECGCLIP, dataset: str, path: Path, folds: Collection[int] = ()) -> list[Case]:
    """A data set's cases, of some folds or all (none given), as this model looks at them."""
    options: dict[str, dict[str, Any]] = {
        "ptb-xl": {"fine": model.config.ecg.sampling_rate > SAMPLING_RATE},
        "mitdb": {"every_s": 10.0},  # every heartbeat once
    }
    return load(dataset, path, model.kb, folds or None, **options.get(dataset, {}))


def choose_labels(model: ECGCLIP, dataset: str, label_set: str, cases: list[Case], naming: str) -> Labels:
    if label_set == "annotated":
        ids = sorted(set().union(*(c.annotated for c in cases)))
        if not ids:
            raise EcgclipError("the data set names no finding of the knowledge base: give a --label-set by its name")
        names = [model.kb.concepts[i].name for i in ids]
        return Labels(names, ids, dict(zip(names, ids, strict=True)))
    label_set = SHORT_NAMES.get(label_set, label_set) if dataset == "ptb-xl" else label_set
    chosen = load_label_set(label_set)
    codes, ids = list(chosen["labels"]), list(chosen["labels"].values())
    classes = tuple(codes) if label_set == "ptb-xl-sub" else ()
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
    return np.array([[_truth(case, c) for c in labels.concepts] for case in cases], np.int8)


def _truth(case: Case, concept: str) -> int:
    """1 annotated, 0 not though the source annotates it, -1 unknown."""
    if concept in case.annotated:
        return 1
    if not case.annotated:  # a source of classes or beats, without a list of statements: all that is known is annotated
        return int(case.statements.get(concept, -1))
    if concept not in case.statements or (case.statements[concept] and not case.complete):
        return -1
    if case.statements[concept] and case.source != "ptb-xl":
        return -1  # it follows from a narrower finding; PTB-XL's benchmarks count it as absent all the same
    return 0


def with_a_label(cases: list[Case], labels: Labels) -> list[Case]:
    kept = [c for c, row in zip(cases, truth_table(cases, labels), strict=True) if (row == 1).any()]
    if not kept:
        raise EcgclipError("no record has a label of the set")
    return kept


def patient_numbers(cases: Sequence[Case]) -> np.ndarray:
    """int (cases,): 0, 1, 2 …, the same for all records of a patient, as the splits tell them (Case.person)."""
    return np.unique([c.person for c in cases], return_inverse=True)[1]


def subgroups(
    scores: np.ndarray, truth: np.ndarray, cases: Sequence[Case], labels: Labels, least: int, seed: int
) -> list[dict[str, Any]]:
    """Macro AUROC by age band, sex, and where the data set tells them device and report language.

    Each over the labels with at least `least` positives and negatives in the group: where `labels` differ, so does the scale.
    """
    known = [group_of(case) for case in cases]
    rows = []
    for kind in known[0]:
        for group in sorted({k[kind] for k in known} - {""}, key=lambda g: (g[0] != "<", g)):
            at = np.array([k[kind] == group for k in known])
            people = np.unique(patient_numbers(cases)[at], return_inverse=True)[1]
            table, macro = label_table(scores[at], truth[at], people, labels, least, seed)
            row = {"by": kind, "group": group, "records": int(at.sum()), "labels": sum(r["in_macro"] for r in table)}
            rows.append({**row, "auroc": macro.get("auroc")})
    return rows


def group_of(case: Case) -> dict[str, str]:
    """What a record is grouped by; "" where it is not known."""
    band = next((name for name, below in AGE_BANDS if case.age is not None and case.age < below), "")
    language = report_language(case.report)
    return {"age": band, "sex": case.sex or "", "device": case.device, "report language": language}


def report_language(report: str) -> str:
    """The language most of whose common words (LANGUAGE_WORDS) the report has; "" for none, or as many of two."""
    words = re.findall(r"[^\W\d_]+", report.casefold())
    counts = {language: sum(w in known.split() for w in words) for language, known in LANGUAGE_WORDS.items()}
    best, second = sorted(counts.values())[-1:-3:-1]
    return max(counts, key=lambda k: counts[k]) if best > second else ""


# --- vectors ----------------------------------------------------------------------------------------------------------


def mean_vectors(
    models: Sequence[ECGCLIP], cases: Sequence[Case], leads: Sequence[str] | None = None
) -> tuple[list[np.ndarray], list[Case]]:
    """For each model the records' rhythm vectors, the mean of the windows, float32 (records, dim); and the cases read.

    A record is read, prepared and measured once for all of the models, which differ in weights alone.
    """
    rows: list[list[np.ndarray]] = [[] for _ in models]
    kept: list[Case] = []
    for batch, embeddings in embedded(models[0], cases, leads):
        kept += batch
        for row, model in zip(rows, models, strict=True):
            again = embeddings if model is models[0] else model.encode(embeddings)
            row += [e.vector for e in again]
    return [np.stack(row) for row in rows], kept


def beat_vectors(
    models: Sequence[ECGCLIP], cases: Sequence[Case], leads: Sequence[str] | None = None
) -> tuple[list[np.ndarray], list[Case]]:
    """As `mean_vectors`, of the heartbeats in stretches of at most one window: float32 (beats, dim), and a case for each.

    Scored are the annotated beats for which an R peak was found within 150 ms, the tolerance of ANSI/AAMI EC57.
    """
    rows: list[list[np.ndarray]] = [[] for _ in models]
    kept: list[Case] = []
    for batch, embeddings in embedded(models[0], cases, leads):
        matches = [match_beats(e.r_peaks[0] / SAMPLING_RATE, c.beats) for c, e in zip(batch, embeddings, strict=True)]
        for case, matched in zip(batch, matches, strict=True):
            for _, (at, kind) in matched:
                kept.append(replace(case, annotated=frozenset({kind}), start_s=case.start_s + at, beats=()))
        for row, model in zip(rows, models, strict=True):
            again = embeddings if model is models[0] else model.encode(embeddings)
            row += [e.beats[0][i] for e, matched in zip(again, matches, strict=True) for i, _ in matched]
    if not kept:
        raise EcgclipError("no R peak was found at an annotated beat")
    return [np.stack(row) for row in rows], kept


def match_beats(
    r_peaks_s: np.ndarray, beats: Sequence[tuple[float, str]], tolerance_s: float = 0.15
) -> list[tuple[int, tuple[float, str]]]:
    """Each annotated beat with the index of the nearest R peak, where it is near enough."""
    near = [(int(np.abs(r_peaks_s - beat[0]).argmin()), beat) for beat in beats] if len(r_peaks_s) else []
    return [(i, beat) for i, beat in near if abs(r_peaks_s[i] - beat[0]) <= tolerance_s]


def embed_cases(
    model: ECGCLIP, cases: list[Case], leads: Sequence[str] | None = None
) -> tuple[list[Embedding], list[Case]]:
    """Read and embed every case; those that cannot be read are left out, with a line on stderr."""
    batches = list(embedded(model, cases, leads))
    return [e for _, embeddings in batches for e in embeddings], [c for kept, _ in batches for c in kept]


def embedded(
    model: ECGCLIP, cases: Sequence[Case], leads: Sequence[str] | None = None
) -> Iterator[tuple[list[Case], list[Embedding]]]:
    """Batches of cases with their embeddings; a record that cannot be read is left out, with a line on stderr."""
    from rich.console import Console
    from rich.progress import track

    last: dict[str, ECG] = {}  # of which the next case may be another stretch
    some = False

    def read(case: Case) -> ECG:
        nonlocal last
        if case.path not in last:
            last = {case.path: read_ecg(case.path)}
        ecg = last[case.path].between(case.start_s, case.stop_s)
        return select_leads(ecg, leads) if leads else ecg

    for first in track(range(0, len(cases), BATCH), "embedding", console=Console(stderr=True)):
        kept, embeddings = [], []
        for case, found in model.embed_each(cases[first : first + BATCH], read):
            if isinstance(found, EcgclipError):
                print(f"left out: {found}", file=sys.stderr)
            elif isinstance(found, Exception):
                raise found
            else:
                kept.append(case)
                embeddings.append(found)
        some = some or bool(kept)
        yield kept, embeddings
    if not some:
        raise EcgclipError("no record of the data set could be read")


def select_leads(ecg: ECG, leads: Sequence[str]) -> ECG:
    """The same ECG with only these of its leads."""
    rows = [i for i, lead in enumerate(ecg.leads) if lead in leads]
    if not rows:
        raise EcgclipError(f"{ecg.source}: has none of the leads {', '.join(leads)}")
    return ECG(ecg.signal[rows], ecg.sampling_rate, tuple(ecg.leads[i] for i in rows), ecg.metadata, ecg.source)


def random_encoder(model: ECGCLIP, seed: int) -> ECGCLIP:
    """The same network with freshly drawn ECG weights: what the architecture and the text alone can do."""
    torch.manual_seed(seed)
    other = copy.copy(model)
    encoder = ECGEncoder(model.config.ecg).eval()
    if encoder.measured is not None and model.ecg.measured is not None:
        # the scale of the measurements is no weight: nothing but ones and zeros without it
        for name, scale in model.ecg.measured.named_buffers():
            setattr(encoder.measured, name, scale)
    encoder.signal_weight = model.ecg.signal_weight
    other._modules = {**model._modules, "ecg": encoder}
    return other


# --- two models -------------------------------------------------------------------------------------------------------


def compare(one: str | Path, other: str | Path, out: str | Path | None = None, *, seed: int = 0) -> dict[str, Any]:
    """Two results of `zeroshot` or `probe` on the same records and labels: other less one, with intervals by patient.

    Both models are scored on the same resamples, so an interval that excludes 0 is a difference that other patients of this
    kind would show too. one, other: a results.json, or its folder, with scores.npz beside it.
    Raises EcgclipError where there is none, or the two are not of the same records, patients and truth.
    """
    files = [Path(p) / "results.json" if Path(p).is_dir() else Path(p) for p in (one, other)]
    (first, a), (second, b) = (load_scores(file) for file in files)
    for what in ("record", "patient", "concept", "truth"):
        if not np.array_equal(a[what], b[what]):
            raise EcgclipError(f"{files[0]} and {files[1]} cannot be paired: they differ in their {what}s")
    patients = np.unique(a["patient"], return_inverse=True)[1]
    labels = Labels(a["label"].tolist(), a["concept"].tolist(), {})
    least = first.get("least_positives", 5)
    rows, macro = difference(a["score"], b["score"], a["truth"], patients, labels, least, seed)
    results = {
        "task": "compare",
        **{k: first.get(k) for k in ("dataset", "label_set", "fold", "records")},
        "least_positives": least,
        "bootstrap": {"resamples": RESAMPLES, "by": "patient", "seed": seed},
        "models": [
            {
                "file": str(file),
                **{k: r.get(k) for k in ("task", "naming", "enriched", "leads", "weights_sha256", "macro")},
            }
            for file, r in zip(files, (first, second), strict=True)
        ],
        "data_sha256": first.get("data_sha256"),
        "code_version": code_version(),
        "command": command(),
        "difference": macro,
        "labels": rows,
    }
    return save(out, results)


def load_scores(file: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A results.json and the scores beside it."""
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
        with np.load(file.with_name("scores.npz"), allow_pickle=False) as stored:
            scores = {k: stored[k] for k in ("record", "patient", "label", "concept", "truth", "score")}
    except (OSError, ValueError, KeyError) as error:
        raise EcgclipError(
            f"{file}: needs a results.json of `eval zeroshot` or `eval probe` and its scores.npz ({error})"
        ) from None
    return results, scores


def scores_file(
    cases: Sequence[Case],
    root: Path,
    labels: Labels,
    truth: np.ndarray,
    score: np.ndarray,
    probability: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """What scores.npz holds: every record's score, float32 (records, labels), with its truth, 1, 0 or -1 (unknown)."""
    columns = {
        "record": np.array([record_name(c, root) for c in cases]),
        "patient": np.array([c.person for c in cases]),
        "label": np.array(labels.names),
        "concept": np.array(labels.classes or labels.concepts),
        "truth": truth,
        "score": score.astype(np.float32),
    }
    return columns if probability is None else columns | {"probability": probability.astype(np.float32)}


def record_name(case: Case, root: Path) -> str:
    """Its path from the data set's folder, and the second at which a stretch starts."""
    name = Path(case.path).relative_to(root).as_posix()
    return name if case.stop_s is None else f"{name}@{case.start_s:g}"


# --- robustness -------------------------------------------------------------------------------------------------------


PERTURBATIONS: dict[str, dict[str, Any]] = {
    "gain +20 %": {"gain": 1.2},
    "gain -20 %": {"gain": 0.8},
    "shift of 1 s": {"shift_s": 1.0},
    "leads I, II, V1-V6": {"leads": ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")},
    "limb leads": {"leads": LEADS[:6]},
    "leads II, V5": {"leads": ("II", "V5")},
    "lead II": {"leads": ("II",)},
}


def robustness(
    path: str | Path,
    label_set: str,
    out: str | Path | None = None,
    *,
    fold: int = 9,
    weights: str | Path | None = None,
    least: int = 5,
) -> dict[str, Any]:
    """How much scores of PTB-XL records change under a gain, a shift and fewer leads: mean absolute change of the probability,
    correlation of the similarities with those of the whole record, and the macro AUROC."""
    model = load_model(weights)
    cases = test_cases(model, "ptb-xl", Path(path), fold)
    labels = choose_labels(model, "ptb-xl", label_set, cases, "code")
    prompts = [model.prompt(n, True, labels.fixed.get(n)) for n in labels.names]
    usable = []
    for case in cases:
        try:
            ecg = read_ecg(case.path)
            for change in PERTURBATIONS.values():  # each must leave something to look at
                prepare(perturb(ecg, **change))
            usable.append((case, ecg))
        except EcgclipError as error:
            print(f"left out: {error}", file=sys.stderr)
    cases, ecgs = [case for case, _ in usable], [ecg for _, ecg in usable]
    if not cases:
        raise EcgclipError(f"{path}: no record could be read in every way that is tried")
    truth, patients = truth_table(cases, labels), patient_numbers(cases)

    def ask(change: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        results = [model.score(model.embed(perturb(e, **change)), prompts).scores for e in ecgs]
        similarity = np.array([[s.similarity for s in r] for r in results])
        return similarity, np.array([[s.probability for s in r] for r in results])

    whole = ask({})
    rows: list[dict[str, Any]] = [
        {"change": "none", "auroc": auroc_table(whole[0], truth, patients, labels, least, 0)[1]}
    ]
    for name, change in PERTURBATIONS.items():
        similarity, probability = ask(change)
        rows.append(
            {
                "change": name,
                "auroc": auroc_table(similarity, truth, patients, labels, least, 0)[1],
                "mean_probability_change": round(float(np.abs(probability - whole[1]).mean()), 4),
                "correlation": round(float(np.corrcoef(similarity.ravel(), whole[0].ravel())[0, 1]), 4),
            }
        )
    results = {"task": "robustness", "dataset": "ptb-xl", "fold": fold, "label_set": label_set, "records": len(cases)}
    return save(out, {**results, **provenance(weights, cases, 0), "changes": rows})


def perturb(ecg: ECG, gain: float = 1.0, shift_s: float = 0.0, leads: Sequence[str] | None = None) -> ECG:
    """A louder or softer copy, one that starts `shift_s` later, or one with fewer leads."""
    ecg = select_leads(ecg, leads) if leads else ecg
    first = round(shift_s * ecg.sampling_rate)
    return ECG(ecg.signal[:, first:] * np.float32(gain), ecg.sampling_rate, ecg.leads, ecg.metadata, ecg.source)


# --- descriptions -----------------------------------------------------------------------------------------------------


def description(
    dataset: str,
    path: str | Path,
    out: str | Path | None = None,
    *,
    fold: int,
    least: int = 5,
    weights: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """How many statements of `describe` a fold's cardiologists wrote too, and how many of theirs it has; into `out`/results.json.

    Beside the description stands a baseline: the annotation of the nearest ECG (by cosine) among those of the model's training
    folds in the same folder, without the patients of the fold under test. Statements are compared over all that the data set annotates in these records, and on
    both sides with all that is broader in it: "inferior infarct" also says infarct, as PTB-XL's superclasses do. Where a
    record's annotation leaves a statement open, saying it counts neither way. least: positives for the macro average.
    Raises EcgclipError where the data set has no folds, or there is no training ECG.
    """
    from ecgclip.describe import say

    if dataset != "ptb-xl":
        raise EcgclipError(f"descriptions are measured on a fold of ptb-xl beside its other folds, not on {dataset!r}")
    model = load_model(weights)
    kb = model.kb
    test = test_cases(model, dataset, Path(path), fold)
    training = _training_cases(model, Path(path), fold, {c.patient for c in test})
    embeddings, test = embed_cases(model, test)
    nearest = _nearest(embeddings, *embed_cases(model, training))
    said: dict[str, list[Collection[str]]] = {
        "description": [say(model, e, model.config.threshold).keys() for e in embeddings],
        "neighbour": [case.annotated for case in nearest],
    }
    vocabulary = sorted(set().union(*(c.annotated for c in [*test, *training])))
    truth = statement_truth(kb, test, vocabulary)
    counts = {k: statement_counts(statement_table(kb, v, vocabulary), truth) for k, v in said.items()}
    patients = patient_numbers(test)
    known = set(vocabulary)
    results = {
        "task": "describe",
        "dataset": dataset,
        "fold": fold,
        "threshold": model.config.threshold,
        "records": len(test),
        "training_records": len(training),
        "least_positives": least,
        **provenance(weights, test, seed),
        "training_data_sha256": cases_hash(training),
        "methods": {
            name: statement_rates(table, patients, least, seed)
            # said, but the data set has no word for it: neither right nor wrong
            | {"not_judged": sum(not ({c} | kb.ancestors(c)) & known for row in said[name] for c in row)}
            for name, table in counts.items()
        },
        "statements": [
            {"concept": concept, "positives": int((truth[:, j] == 1).sum())}
            | {name: _row(table[:, :, j].sum(1)) for name, table in counts.items()}
            for j, concept in enumerate(vocabulary)
        ],
    }
    return save(out, results)


def _training_cases(model: ECGCLIP, path: Path, fold: int, patients: Collection[str]) -> list[Case]:
    """The records of the folds that the model was trained on (validation patients too), none of these patients among them."""
    trained = sources(model.config.training).get("ptb-xl", {}).get("folds", range(1, 9))
    cases = load("ptb-xl", path, model.kb, [f for f in trained if f != fold])
    cases = [c for c in cases if c.patient not in patients]
    if not cases:
        raise EcgclipError(f"{path}: no records of the training folds {', '.join(map(str, trained))} for the baseline")
    return cases


def _nearest(embeddings: Sequence[Embedding], others: Sequence[Embedding], cases: Sequence[Case]) -> list[Case]:
    """For each embedding the case whose ECG has the most similar vector."""
    ours, theirs = (np.stack([e.vector for e in x]) for x in (embeddings, others))
    return [cases[i] for i in (ours @ theirs.T).argmax(1)]


def statement_table(kb: KnowledgeBase, said: Sequence[Collection[str]], vocabulary: Sequence[str]) -> np.ndarray:
    """Concepts said of each record → bool (records, vocabulary), with what is broader."""
    whole = [{a for c in concepts for a in {c} | kb.ancestors(c)} for concepts in said]
    return np.array([[c in row for c in vocabulary] for row in whole], bool).reshape(len(said), len(vocabulary))


def statement_truth(kb: KnowledgeBase, cases: Sequence[Case], vocabulary: Sequence[str]) -> np.ndarray:
    """int8 (cases, vocabulary): 1 annotated or broader than something annotated, 0 known to be absent, -1 unknown."""
    present = statement_table(kb, [c.annotated for c in cases], vocabulary)
    absent = np.array([[case.statements.get(c) is False for c in vocabulary] for case in cases], bool)
    return np.where(present, 1, np.where(absent, 0, -1)).astype(np.int8)


def statement_counts(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """said bool, truth 1, 0, -1 (records, vocabulary) → bool (3, records, vocabulary): rightly, wrongly, wrongly not said."""
    return np.stack([said & (truth == 1), said & (truth == 0), ~said & (truth == 1)])


def rates(counts: np.ndarray) -> np.ndarray:
    """counts (3, …) rightly, wrongly, wrongly not said → (3, …) precision, recall, F1; 0 where nothing was said or is true."""
    right, wrong, missed = np.asarray(counts, float)
    shares = [(right, right + wrong), (right, right + missed), (2 * right, 2 * right + wrong + missed)]
    return np.stack([np.divide(a, b, out=np.zeros_like(a), where=b > 0) for a, b in shares])


def statement_rates(counts: np.ndarray, patients: np.ndarray, least: int, seed: int) -> dict[str, Any]:
    """counts (3, records, vocabulary), patients (records,) → micro and macro precision, recall and F1, each [value, low, high].

    Macro: the mean over the statements with at least `least` positives; None where there is none.
    """
    people = patients.max() + 1
    draws = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), RESAMPLES)
    once = counts.sum(1, dtype=float)  # (3, vocabulary)
    drawn = np.stack([draws[:, patients] @ c.astype(float) for c in counts])  # (3, draws, vocabulary)
    often = once[0] + once[2] >= least

    def interval(value: np.ndarray, resampled: np.ndarray) -> dict[str, list[float]]:
        low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
        names = ("precision", "recall", "f1")
        return {n: [round(float(x[i]), 4) for x in (value, low, high)] for i, n in enumerate(names)}

    macro = interval(rates(once[:, often]).mean(1), rates(drawn[:, :, often]).mean(2)) if often.any() else None
    return {"micro": interval(rates(once.sum(1)), rates(drawn.sum(2))), "macro": macro}


def _row(counts: np.ndarray) -> dict[str, Any]:
    """counts (3,) of one statement → how often it was said where that can be judged, with what precision and recall."""
    precision, recall, _ = rates(counts)
    return {
        "predicted": int(counts[:2].sum()),
        "precision": round(float(precision), 4),
        "recall": round(float(recall), 4),
    }


# --- small parts ------------------------------------------------------------------------------------------------------


def provenance(weights: str | Path | None, cases: Sequence[Case], seed: int) -> dict[str, Any]:
    """What a table of results must name to be made again."""
    return {
        "bootstrap": {"resamples": RESAMPLES, "by": "patient", "seed": seed},
        "weights_sha256": weights_hash(weights),
        "data_sha256": cases_hash(cases),
        "code_version": code_version(),
        "command": command(),
    }


def command() -> str:
    """The command line, without the folder that it writes to: the same figures are the same file wherever they lie."""
    words = sys.argv[1:]
    for i, word in enumerate(words):
        if word in ("-o", "--output") and i + 1 < len(words):
            words[i + 1] = "DIR"
        elif word.startswith("--output="):
            words[i] = "--output=DIR"
    return shlex.join(["ecgclip", *words])


def cases_hash(cases: Sequence[Case]) -> str:
    """SHA-256 over the signal files and labels that were scored."""
    digest = hashlib.sha256()
    last = ""
    for case in cases:
        stem = Path(case.path)
        if case.path != last:  # stretches of one record follow each other
            for file in sorted(stem.parent.glob(stem.name + ".*")):
                digest.update(file.read_bytes())
        last = case.path
        known = sorted(case.annotated) if case.annotated else sorted(case.statements.items())
        digest.update(json.dumps(known).encode())
    return digest.hexdigest()


def save(out: str | Path | None, results: dict[str, Any], scores: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write results.json, scores.npz and the page with its figures into `out`, where it is given → results."""
    if out is not None:
        from ecgclip.report import write_page

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        if scores is not None:
            packed = io.BytesIO()
            np.savez_compressed(packed, **scores)
            write_atomic(out / "scores.npz", packed.getvalue())
        write_json(out / "results.json", results)
        write_page(out, results)
    return results


def write_json(path: Path, content: Any) -> None:
    """Atomic: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def code_version() -> str:
    from ecgclip import train

    return train.code_version()
