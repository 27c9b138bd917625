"""What a recipe reads: cases, windows and texts."""

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
from ecgclip.index.workers import cores
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.measure.guideline import finding_texts
from ecgclip.prepare import SAMPLING_RATE
from ecgclip.train.recipe import Recipe


@dataclass(frozen=True)
class Split:
    """Cases and their windows, a source at a time."""

    cases: list[Case]
    windows: Windows


def load_split(recipe: Recipe, data: Path, kb: KnowledgeBase, validation: bool) -> dict[str, Split]:
    """The training cases of each source, or the validation cases of the main one."""
    splits, rest = {}, kb.without(recipe.unseen)
    for source in [recipe.main] if validation else recipe.data:
        parts = source_parts(recipe, source, data, kb)
        chosen = [forget(c, rest) for c in (parts.validation if validation else parts.training)]
        variants = VARIANTS if recipe.augment["drop_leads"] else 1
        rate, workers = recipe.ecg_config.sampling_rate, cores()
        splits[source] = Split(chosen, load_windows(chosen, windows_cache(), workers, rate, variants))
    return splits


def source_parts(recipe: Recipe, source: str, data: Path, kb: KnowledgeBase, signals: bool = True) -> Parts:
    """What a recipe does with each case of a source. signals=False: rows without a signal too, for their reports."""
    fine = recipe.ecg_config.sampling_rate > SAMPLING_RATE
    cases = load(source, data / recipe.data[source]["path"], kb, fine=fine, signals=signals)
    validation_part = recipe.validation_part if source == recipe.main else 0
    return divide(source, cases, recipe.data[source].get("folds"), validation_part, recipe.test_part.get(source, 0))


def learnt_from(recipe: Recipe, *parts: dict[str, Split]) -> dict[str, dict[str, Any]]:
    """What a model's config keeps of each source, by which `eval` knows what it was trained on."""
    cases = {source: [c for part in parts if source in part for c in part[source].cases] for source in recipe.data}
    return {source: split_record(source, known, recipe.test_part.get(source, 0)) for source, known in cases.items()}


def forget(case: Case, kb: KnowledgeBase) -> Case:
    """The case without its statements and beats that `kb` does not have, and without a report that tells of them."""
    if kb.hidden_names is None:
        return case
    present = {c for c, there in case.statements.items() if there} | case.annotated
    silent = not present <= kb.concepts.keys() or kb.hidden_names.search(case.report)
    return replace(
        case,
        statements={c: there for c, there in case.statements.items() if c in kb.concepts},
        annotated=case.annotated & kb.concepts.keys(),
        beats=tuple(beat for beat in case.beats if beat[1] in kb.concepts),
        report="" if silent else case.report,
    )


def spoken_findings(kb: KnowledgeBase) -> dict[str, dict[str, list[str]]]:
    """The words for every finding, but those with a name that `kb` is without; no finding of which no words are left."""
    spoken = {
        key: {
            kind: [t for t in entry.get(kind, []) if not (kb.hidden_names and kb.hidden_names.search(t))]
            for kind in ("en", "de", "negative_en", "negative_de")
        }
        for key, entry in finding_texts().items()
    }
    return {key: entry for key, entry in spoken.items() if entry["en"]}


def windows_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ecgclip"


def corpus(recipe: Recipe, data: Path, kb: KnowledgeBase) -> list[str]:
    """All text there is: reports of training patients (those without a signal too), the knowledge base, findings."""
    rest = kb.without(recipe.unseen)
    texts = [p.text for p in rest.passages]
    texts += [t for entry in spoken_findings(rest).values() for said in entry.values() for t in said]
    for source in (s for s in recipe.data if data_set(s).reports):
        parts = source_parts(recipe, source, data, kb)  # of a small folder, who validates depends on who has a signal
        apart = {c.person for c in [*parts.validation, *parts.test]}
        cases = source_parts(recipe, source, data, kb, signals=False).training
        texts += [report for c in cases if c.person not in apart and (report := forget(c, rest).report)]
    return texts


def trained_concepts(splits: dict[str, Split], least: int = 5) -> set[str]:
    """Concepts that at least so many training cases have: the others are asked by their criteria first."""
    counts: dict[str, int] = {}
    for split in splits.values():
        for case in split.cases:
            for concept, present in case.statements.items():
                counts[concept] = counts.get(concept, 0) + present
    return {c for c, n in counts.items() if n >= least} | set(MEASURED_CONCEPTS)


def data_hash(recipe: Recipe, data: Path) -> str:
    """SHA-256 over the label tables and the names and sizes of the records that a recipe reads."""
    digest = hashlib.sha256()
    for options in recipe.data.values():
        for file in sorted((data / options["path"]).rglob("*")):
            if file.suffix == ".csv":
                digest.update(file.read_bytes())
            elif file.is_file():
                digest.update(f"{file.relative_to(data)} {file.stat().st_size}\n".encode())
    return digest.hexdigest()
