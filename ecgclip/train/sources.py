"""The cases, windows and texts that a recipe reads."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecgclip.data.cases import MEASURED_CONCEPTS, Case
from ecgclip.data.sets import data_set
from ecgclip.data.splits import Parts, divide, load, split_record
from ecgclip.data.windows import VARIANTS, Windows, load_windows
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.guideline import finding_texts
from ecgclip.prepare import SAMPLING_RATE
from ecgclip.processes import cores
from ecgclip.train.recipe import Recipe


@dataclass(frozen=True)
class Split:
    """Cases of one source and their windows."""

    cases: list[Case]
    windows: Windows


Splits = dict[str, Split]  # by source


def load_split(recipe: Recipe, data: Path, kb: KnowledgeBase, validation: bool) -> Splits:
    """The training cases of each source, or the validation cases of the main one, without the recipe's unseen concepts.

    Raises EcgclipError where data is missing or no record can be read.
    """
    splits, remaining = {}, kb.without(recipe.unseen)
    rate, variants = recipe.ecg_config.sampling_rate, VARIANTS if recipe.augment["drop_leads"] else 1
    for source in [recipe.main] if validation else recipe.data:
        parts = source_parts(recipe, source, data, kb)
        cases = [forget(c, remaining) for c in (parts.validation if validation else parts.training)]
        windows = load_windows(cases, windows_cache(), cores(), rate, variants)
        splits[source] = Split(cases, windows)
    return splits


def source_parts(recipe: Recipe, source: str, data: Path, kb: KnowledgeBase, signals: bool = True) -> Parts:
    """A source divided as the recipe says; signals=False: with rows that have no signal, for their reports."""
    fine, options = recipe.ecg_config.sampling_rate > SAMPLING_RATE, recipe.data[source]
    root = windows_cache() if data_set(source).made else data / options["path"]
    cases = load(source, root, kb, fine=fine, signals=signals, seeds=options.get("seeds"))
    validation_part = recipe.validation_part if source == recipe.main else 0
    return divide(source, cases, options.get("folds"), validation_part, recipe.test_part.get(source, 0))


def split_records(recipe: Recipe, *splits: Splits) -> dict[str, dict[str, Any]]:
    """The `split_record` of each source, which a model's config keeps so that `eval` knows what it was trained on."""
    cases: dict[str, list[Case]] = {}
    for source, split in (pair for part in splits for pair in part.items()):
        cases.setdefault(source, []).extend(split.cases)
    return {source: split_record(source, c, recipe.test_part.get(source, 0)) for source, c in cases.items()}


def forget(case: Case, kb: KnowledgeBase) -> Case:
    """The case without the statements and beats that `kb` does not have, and without a report that tells of them.

    kb : KnowledgeBase
        As `KnowledgeBase.without` gives it.
    """
    if kb.hidden_names is None:
        return case
    present = {c for c, is_present in case.statements.items() if is_present} | case.annotated
    tells = not present <= kb.concepts.keys() or kb.hidden_names.search(case.report)
    return replace(
        case,
        statements={c: is_present for c, is_present in case.statements.items() if c in kb.concepts},
        annotated=case.annotated & kb.concepts.keys(),
        beats=tuple(beat for beat in case.beats if beat[1] in kb.concepts),
        report="" if tells else case.report,
    )


def finding_words(kb: KnowledgeBase) -> dict[str, dict[str, list[str]]]:
    """The texts of each finding, without those that name a concept hidden from `kb`; findings without any are gone."""
    words = {
        key: {
            kind: [t for t in entry.get(kind, []) if not (kb.hidden_names and kb.hidden_names.search(t))]
            for kind in ("en", "de", "negative_en", "negative_de")
        }
        for key, entry in finding_texts().items()
    }
    return {key: entry for key, entry in words.items() if entry["en"]}


def windows_cache() -> Path:
    """The folder that keeps prepared windows."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ecgclip"


def corpus(recipe: Recipe, data: Path, kb: KnowledgeBase) -> list[str]:
    """All texts to train a tokenizer on: the knowledge base, findings, and the reports of training patients.

    Reports without a signal are among them.
    """
    remaining = kb.without(recipe.unseen)
    texts = [p.text for p in remaining.passages]
    texts += [
        t for entry in finding_words(remaining).values() for texts_of_kind in entry.values() for t in texts_of_kind
    ]
    for source in (s for s in recipe.data if data_set(s).reports):
        parts = source_parts(recipe, source, data, kb)  # of a small folder, who validates depends on who has a signal
        not_trained_on = {c.person for c in [*parts.validation, *parts.test]}
        cases = source_parts(recipe, source, data, kb, signals=False).training
        reports = (forget(c, remaining).report for c in cases if c.person not in not_trained_on)
        texts += [report for report in reports if report]
    return texts


def trained_concepts(splits: Splits, min_positives: int = 5) -> set[str]:
    """Concepts that enough training cases have, simulated ones aside; the others are asked by their criteria first."""
    counts: dict[str, int] = {}
    for split in (split for source, split in splits.items() if not data_set(source).made):
        for case in split.cases:
            for concept, present in case.statements.items():
                counts[concept] = counts.get(concept, 0) + present
    return {c for c, count in counts.items() if count >= min_positives} | set(MEASURED_CONCEPTS)


def data_hash(recipe: Recipe, data: Path) -> str:
    """SHA-256 over the label tables and the names and sizes of the records that a recipe reads, not simulated ones."""
    digest = hashlib.sha256()
    for options in (options for source, options in recipe.data.items() if not data_set(source).made):
        for file in sorted((data / options["path"]).rglob("*")):
            if file.suffix == ".csv":
                digest.update(file.read_bytes())
            elif file.is_file():
                digest.update(f"{file.relative_to(data)} {file.stat().st_size}\n".encode())
    return digest.hexdigest()
