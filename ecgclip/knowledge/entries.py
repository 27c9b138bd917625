"""The files of a knowledge base: YAML entries, read and checked, and the JSON copy of them that ships.

One YAML file holds one concept; `sources.yaml` beside them holds the literature that the criteria name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.knowledge.concepts import CATEGORIES, LANGUAGES, Concept, Source
from ecgclip.knowledge.lookup import index_spellings
from ecgclip.knowledge.spelling import normalise

# ECGCLIP.save writes it with the shipped weights
COMPILED = Path(__file__).parents[1] / "weights" / "knowledge_base.json"

TEXT_FIELDS = ("name", "definition", "definition_de")
LIST_FIELDS = ("report", "report_de", "negation", "negation_de", "sources", "broader", "lookalikes")
FILLED_FIELDS = ("report", "report_de", "criteria", "sources")
FIELDS = {"id", "category", "aliases", "codes", "criteria", *TEXT_FIELDS, *LIST_FIELDS}


@dataclass(frozen=True)
class Entries:
    """All entries of a knowledge base; `digest` is the SHA-256 of its YAML files."""

    concepts: dict[str, Concept]
    sources: dict[str, Source]
    digest: str

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` reads, ready for JSON."""
        return {
            "digest": self.digest,
            "sources": {key: asdict(source) for key, source in self.sources.items()},
            "concepts": {key: asdict(concept) for key, concept in self.concepts.items()},
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Entries:
        """Return the entries that `to_dict` wrote."""
        concepts = {key: Concept.from_dict(entry) for key, entry in stored["concepts"].items()}
        return cls(concepts, {key: Source(**entry) for key, entry in stored["sources"].items()}, stored["digest"])


def read_entries(folder: Path) -> Entries:
    """Read all entries of a folder.

    Raises
    ------
    EcgclipError
        If the folder holds no knowledge base, or one of its files is damaged; it names the file.
    """
    files = sorted(folder.glob("*.yaml"))
    if len(files) < 2:
        raise EcgclipError(f"{folder}: no knowledge base here (expected <concept>.yaml files and sources.yaml)")
    contents = {file.name: file.read_bytes() for file in files}
    digest = hashlib.sha256(b"".join(name.encode() + content for name, content in contents.items())).hexdigest()
    # 200 YAML files take a second to parse, a JSON copy milliseconds. Only the copy that ships with this package is
    # believed: that of another model could say anything under the same digest.
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        stored = json.loads(COMPILED.read_text(encoding="utf-8"))
        if stored["digest"] == digest:
            return Entries.from_dict(stored)
    return parse_entries(folder, contents, digest)


def parse_entries(folder: Path, contents: dict[str, bytes], digest: str) -> Entries:
    """Parse and check YAML files.

    Parameters
    ----------
    folder
        The folder of the files, to name in error messages.
    contents
        The bytes of each file by its name.
    digest
        SHA-256 of the contents.

    Raises
    ------
    EcgclipError
        If a file is damaged, or a spelling belongs to two concepts.
    """
    entries = {name: _parse_yaml(folder / name, content) for name, content in contents.items()}
    if "sources.yaml" not in entries:
        raise EcgclipError(f"{folder}: sources.yaml is missing")
    try:
        sources = {key: Source(key, **fields) for key, fields in entries.pop("sources.yaml").items()}
    except (AttributeError, TypeError) as error:
        raise EcgclipError(f"{folder / 'sources.yaml'}: {error}") from None
    ids = {Path(name).stem for name in entries}
    concepts = {}
    for name, entry in entries.items():
        if problem := check_entry(entry, Path(name).stem, ids, set(sources)):
            raise EcgclipError(f"{folder / name}: {problem}")
        concepts[entry["id"]] = Concept.from_dict(entry)
    index_spellings(concepts)
    return Entries(concepts, sources, digest)


def _parse_yaml(path: Path, content: bytes) -> Any:
    import yaml

    try:
        return yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise EcgclipError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from None


def check_entry(entry: Any, file_stem: str, ids: set[str], source_keys: set[str]) -> str | None:
    """Check one concept's entry.

    Parameters
    ----------
    entry
        The content of its YAML file.
    file_stem
        The file's name without ".yaml".
    ids
        Ids of all concepts.
    source_keys
        Keys of all sources.

    Returns
    -------
    str or None
        The first problem, in one line; None if there is none.
    """
    return next(_problems(entry, file_stem, ids, source_keys), None)


def _problems(entry: Any, file_stem: str, ids: set[str], source_keys: set[str]) -> Iterator[str]:
    """Each check relies on those before it: after a problem, ask for no other."""
    if not isinstance(entry, dict):
        yield "not a mapping of fields"
    yield from _field_problems(entry, file_stem)
    yield from _type_problems(entry)
    yield from _alias_and_code_problems(entry["aliases"], entry["codes"])
    for criterion in entry["criteria"]:
        yield from _criterion_problems(criterion, source_keys)
    if unknown := set(entry["sources"]) - source_keys:
        yield f"unknown sources {sorted(unknown)}"
    if unknown := {*entry["broader"], *entry["lookalikes"]} - ids:
        yield f"broader or lookalikes name unknown concepts {sorted(unknown)}"


def _field_problems(entry: dict[str, Any], file_stem: str) -> Iterator[str]:
    if missing := FIELDS - entry.keys():
        yield f"missing {', '.join(sorted(missing))}"
    if extra := entry.keys() - FIELDS:
        yield f"unknown field {', '.join(sorted(extra))}"
    if entry["id"] != file_stem:
        yield f"id {entry['id']!r} is not the file's name"
    if entry["category"] not in CATEGORIES:
        yield f"category {entry['category']!r} is none of {', '.join(CATEGORIES)}"


def _type_problems(entry: dict[str, Any]) -> Iterator[str]:
    for field in TEXT_FIELDS:
        if not isinstance(entry[field], str) or not entry[field].strip():
            yield f"{field} is not a text"
    for field in LIST_FIELDS:
        if not isinstance(entry[field], list) or not all(isinstance(x, str) and x.strip() for x in entry[field]):
            yield f"{field} is not a list of texts"
    if not all(entry[field] and isinstance(entry[field], list) for field in FILLED_FIELDS):
        yield "an empty report, criteria or sources"


def _alias_and_code_problems(aliases: Any, codes: Any) -> Iterator[str]:
    if not isinstance(aliases, dict) or not all(
        language in LANGUAGES
        and isinstance(spellings, list)
        and all(isinstance(spelling, str) and normalise(spelling) for spelling in spellings)
        for language, spellings in aliases.items()
    ):
        yield "aliases is not {en: [texts], de: [texts]} (quote numbers and yes/no)"
    if not isinstance(codes, dict) or not isinstance(codes.get("scp", ""), str):
        yield "codes is not a mapping such as {scp: AFIB, snomed: [...]}"
    snomed = codes.get("snomed", [])
    if not isinstance(snomed, list) or not all(isinstance(code, str) and code.isdigit() for code in snomed):
        yield "codes.snomed is not a list of quoted numbers"


def _criterion_problems(criterion: Any, source_keys: set[str]) -> Iterator[str]:
    if not isinstance(criterion, dict) or criterion.keys() != {"text", "leads", "source"}:
        yield "a criterion needs exactly text, leads and source"
    if not isinstance(criterion["text"], str) or not isinstance(criterion["leads"], list):
        yield "a criterion's text is no text or its leads no list"
    if unknown := {str(lead) for lead in criterion["leads"]} - {*LEADS, "all"}:
        yield f"criterion {criterion['text']!r} names unknown leads {sorted(unknown)}"
    if criterion["source"] not in source_keys:
        yield f"criterion {criterion['text']!r} has an unknown source {criterion['source']!r}"
