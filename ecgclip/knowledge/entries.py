"""The files of a knowledge base: YAML entries, read and checked, and the JSON copy of them that ships.

One YAML file holds one concept; `sources.yaml` beside them holds the literature that the criteria name.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.files import parse_yaml
from ecgclip.knowledge.checks import circles, exclusion_problems, line_of, place, problems
from ecgclip.knowledge.concepts import Concept, Source
from ecgclip.knowledge.lookup import index_spellings

# ECGCLIP.save writes it with the shipped weights
COMPILED = Path(__file__).parents[1] / "weights" / "knowledge_base.json"


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
    contents = read_contents(folder)
    digest = hashlib.sha256(b"".join(name.encode() + content for name, content in contents.items())).hexdigest()
    # 200 YAML files take a second to parse, a JSON copy milliseconds. Only the copy that ships with this package is
    # believed: that of another model could say anything under the same digest.
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        entries = stored_entries(COMPILED.read_bytes())
        if entries.digest == digest:
            return entries
    return parse_entries(folder, contents, digest)


@lru_cache(maxsize=1)
def stored_entries(copy: bytes) -> Entries:
    """Return the entries of a JSON copy; kept, as the shipped model comes with the shipped copy, byte for byte."""
    return Entries.from_dict(json.loads(copy))


def read_contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each YAML file of a folder by its name.

    Raises
    ------
    EcgclipError
        If there are fewer than two.
    """
    files = sorted(folder.glob("*.yaml"))
    if len(files) < 2:
        raise EcgclipError(f"{folder}: no knowledge base here (expected <concept>.yaml files and sources.yaml)")
    return {file.name: file.read_bytes() for file in files}


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
        If a file is damaged, a spelling belongs to two concepts, or criteria ask for one another in a circle.
    """
    checked = _Checked.read(folder, contents)
    if checked.mistakes:
        raise EcgclipError(checked.mistakes[0])
    concepts = {entry["id"]: Concept.from_dict(entry) for entry in checked.entries.values()}
    index_spellings(concepts)
    return Entries(concepts, checked.sources, digest)


def find_mistakes(folder: Path) -> list[str]:
    """Return all mistakes of a knowledge base, one line each with file and line; empty if there is none.

    Of a file with a wrong field, the first mistake; else all mistakes of its tests and roles.

    Raises
    ------
    EcgclipError
        If the folder holds no knowledge base.
    """
    checked = _Checked.read(folder, read_contents(folder))
    if not checked.mistakes:
        try:
            index_spellings({entry["id"]: Concept.from_dict(entry) for entry in checked.entries.values()})
        except EcgclipError as error:
            return [f"{folder}/{error}"]
    return checked.mistakes


@dataclass(frozen=True)
class _Checked:
    """What the files of a folder hold, by their names, and all mistakes in them."""

    entries: dict[str, Any]
    sources: dict[str, Source]
    mistakes: list[str]

    @classmethod
    def read(cls, folder: Path, contents: dict[str, bytes]) -> _Checked:
        entries: dict[str, Any] = {}
        mistakes: list[str] = []
        for name, content in contents.items():
            try:
                entries[name] = _parse_yaml(folder / name, content)
            except EcgclipError as error:
                mistakes.append(str(error))
        sources = cls._sources(folder, contents, entries, mistakes)
        ids = {Path(name).stem for name in contents} - {"sources"}
        for name, entry in entries.items():
            for words, path in problems(entry, Path(name).stem, ids, sources):
                mistakes.append(f"{place(folder / name, line_of(contents[name], path))}: {words}")
        if not mistakes:
            mistakes += _exclusion_mistakes(folder, contents, entries)
        if not mistakes:
            mistakes += _circle_mistakes(folder, entries)
        return cls(entries, sources, mistakes)

    @staticmethod
    def _sources(
        folder: Path, contents: dict[str, bytes], entries: dict[str, Any], mistakes: list[str]
    ) -> dict[str, Source]:
        """Take the sources out of `entries`."""
        if "sources.yaml" not in contents:
            mistakes.append(f"{folder}: sources.yaml is missing")
        try:
            return {key: Source(key, **fields) for key, fields in entries.pop("sources.yaml", {}).items()}
        except (AttributeError, TypeError) as error:
            mistakes.append(f"{folder / 'sources.yaml'}: {error}")
            return {}


def _exclusion_mistakes(folder: Path, contents: dict[str, bytes], entries: dict[str, Any]) -> list[str]:
    found = exclusion_problems({entry["id"]: entry for entry in entries.values()})
    names = ((f"{key}.yaml", problem) for key, problem in found)
    return [f"{place(folder / n, line_of(contents[n], problem.path))}: {problem.words}" for n, problem in names]


def _circle_mistakes(folder: Path, entries: dict[str, Any]) -> list[str]:
    try:
        found = circles({entry["id"]: entry for entry in entries.values()})
    except EcgclipError as error:
        return [f"{folder}/{error}"]
    return [f"{folder / circle[0]}.yaml: tests ask in a circle: {' > '.join(circle)}" for circle in found]


def _parse_yaml(path: Path, content: bytes) -> Any:
    import yaml

    try:
        return parse_yaml(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        words = (str(error).splitlines() or [type(error).__name__])[0]
        raise EcgclipError(f"{place(path, mark.line + 1 if mark else None)}: not valid YAML ({words})") from None
