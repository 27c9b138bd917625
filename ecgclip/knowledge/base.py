"""The clinical knowledge base: what a label means, in words that the text encoder was trained on.

    label ──exact alias──▶ concept ──▶ passages (names, reports, criteria, definition) ──▶ enriched prompts
          └─else nearest passage in FAISS, above a floor; else the bare label, visibly

One YAML file holds one condition; `sources.yaml` beside them holds the literature that each criterion names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path
from ecgclip.knowledge.concepts import MISSPELT, Concept, Criterion, Source, _forms, check_entry, normalise, words_of

COMPILED = (
    Path(__file__).parents[1] / "weights" / "knowledge_base.json"
)  # written by ECGCLIP.save with the shipped weights
PLACES = re.compile(  # words of names that alone name no condition
    "(?:wave|complex|interval|segment|lead|narrow|heart|cardiac|chest|body|arm|back"
    "|welle|zacke|komplex|strecke|herz|brust|ableitung|schmal)(?:e?s|e?n|er)?"
)
INSIDE = re.compile(r"\s(?:in|im|on|of|at|der|des|von|bei|type|typ|grade|grad)\s", re.IGNORECASE)  # what follows a name
ANOTHER = re.compile(r"\b(?:atypi|pseudo|non|nicht|famil|mimic)", re.IGNORECASE)  # makes another condition of a name


class KnowledgeBase:
    """All concepts of a folder, found by id, name, alias or code.

    Raises EcgclipError naming the file and what is wrong with it.
    """

    def __init__(self, concepts: dict[str, Concept], sources: dict[str, Source], digest: str):
        self.concepts, self.sources, self.digest = concepts, sources, digest
        self.unsaid: re.Pattern[str] | None = None  # names that no text may have, where it is `without` concepts
        self.passages = [p for c in concepts.values() for p in c.passages]

    @classmethod
    def load(cls, folder: str | Path | None = None) -> KnowledgeBase:
        """Read `folder` (default: the one that ships)."""
        folder = Path(folder) if folder else asset_path("knowledge_base")
        files = sorted(folder.glob("*.yaml"))
        if len(files) < 2:
            raise EcgclipError(f"{folder}: no knowledge base here (expected <concept>.yaml files and sources.yaml)")
        texts = {f.name: f.read_bytes() for f in files}
        digest = hashlib.sha256(b"".join(k.encode() + v for k, v in texts.items())).hexdigest()
        # 200 YAML files take a second to parse, a JSON copy milliseconds. Only the copy that ships with this package is
        # believed: that of another model could say anything under the same digest.
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
            stored = json.loads(COMPILED.read_text(encoding="utf-8"))
            if stored["digest"] == digest:
                return cls.from_dict(stored)
        return cls._parse(folder, texts, digest)

    @classmethod
    def _parse(cls, folder: Path, texts: dict[str, bytes], digest: str) -> KnowledgeBase:
        import yaml

        entries = {}
        for name, text in texts.items():
            try:
                entries[name] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            except yaml.YAMLError as error:
                raise EcgclipError(f"{folder / name}: not valid YAML ({str(error).splitlines()[0]})") from None
        if "sources.yaml" not in entries:
            raise EcgclipError(f"{folder}: sources.yaml is missing")
        try:
            sources = {k: Source(k, **v) for k, v in entries.pop("sources.yaml").items()}
        except (AttributeError, TypeError) as error:
            raise EcgclipError(f"{folder / 'sources.yaml'}: {error}") from None
        concepts = {}
        for name, entry in entries.items():
            problem = check_entry(entry, Path(name).stem, {Path(e).stem for e in entries}, set(sources))
            if problem:
                raise EcgclipError(f"{folder / name}: {problem}")
            criteria = tuple(Criterion(c["text"], tuple(c["leads"]), c["source"]) for c in entry["criteria"])
            concepts[entry["id"]] = Concept(**{**entry, "criteria": criteria})
        base = cls(concepts, sources, digest)
        base.alias_index  # noqa: B018  raises on an alias of two concepts
        return base

    def to_dict(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "sources": {k: asdict(s) for k, s in self.sources.items()},
            "concepts": {k: asdict(c) for k, c in self.concepts.items()},
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> KnowledgeBase:
        concepts = {
            k: Concept(
                **{**c, "criteria": tuple(Criterion(x["text"], tuple(x["leads"]), x["source"]) for x in c["criteria"])}
            )
            for k, c in stored["concepts"].items()
        }
        return cls(concepts, {k: Source(**s) for k, s in stored["sources"].items()}, stored["digest"])

    @cached_property
    def alias_index(self) -> dict[str, tuple[str, str]]:
        """normalised spelling → (concept id, the spelling as written)"""
        index: dict[str, tuple[str, str]] = {}
        for concept in self.concepts.values():
            codes = [concept.codes.get("scp"), *concept.codes.get("snomed", [])]
            spellings = [
                concept.name,
                concept.id,
                *(a for v in concept.aliases.values() for a in v),
                *(c for c in codes if c),
            ]
            for spelling in spellings:
                known = index.setdefault(normalise(spelling), (concept.id, spelling))
                if known[0] != concept.id:
                    raise EcgclipError(
                        f"{concept.id}.yaml: alias {spelling!r} also belongs to {known[0]}; keep it in one"
                    )
        return index

    def find(self, label: str) -> Concept | None:
        """The concept whose id, name, alias, SCP-ECG or SNOMED CT code is `label`, whatever its case; else None."""
        known = self.alias_index.get(normalise(label))
        return self.concepts[known[0]] if known else None

    @cached_property
    def names(self) -> frozenset[str]:
        """All names and aliases, in small letters."""
        return frozenset(p.text.casefold() for p in self.passages if p.kind in ("name", "alias"))

    @cached_property
    def longest_name(self) -> int:
        """Words of the longest of them."""
        return max((len(name.split()) for name in self.names), default=1)

    def respelt(self, label: str) -> Concept | None:
        """The concept that `label` names but for a slip of one letter in its longer words; None where none or several would do."""
        words = words_of(label)
        for i, word in enumerate(words):
            if len(word) > MISSPELT and word not in self._words.get(word, ()):
                meant = {w for form in _forms(word) for w in self._words.get(form, ()) if w[0] == word[0]}
                if len(meant) != 1:  # another first letter makes another word: typical, atypical
                    return None
                words[i] = meant.pop()
        return self.find(" ".join(words))

    def named(self, label: str) -> Concept | None:
        """The concept of the longest name that `label` ends in, or has before "in V1", "of …", "type 2": "acute ischemia in V1"."""
        words = INSIDE.split(label)[0].split()
        while len(words) > 1 and not self.find(words[-1]) and self.narrowing.issuperset(words_of(words[-1])):
            words.pop()
        for n in range(len(words)):
            found = self.find(" ".join(words[n:])) or self.respelt(" ".join(words[n:]))
            if found and not ANOTHER.search(" ".join(words[:n])):
                return None if found.category == "normal" else self._narrower(words[:n], found) or found
        return None

    def _narrower(self, words: list[str], concept: Concept) -> Concept | None:
        """The concept that is called so with another name of this one at its end: "3rd degree AVB" is "3rd degree AV block"."""
        names = [concept.name, *sum(concept.aliases.values(), [])]
        found = (self.find(" ".join([*words, name])) for name in names if words)
        return next((c for c in found if c and c.category != "beat"), None)

    def has_word(self, word: str) -> bool:
        """Whether a name has this word, as it is spelt here."""
        return normalise(word) in self._words.get(normalise(word), ())

    def speaks(self, label: str) -> bool:
        """Whether most letters of `label` are in words that the names have too, if need be misspelt or with another ending.

        Nonsense is near to some passage, too: an encoder of text knows no "none of these". A wave or a part of the body is no condition,
        and an abbreviation that is no name could mean anything.
        """
        if self.narrowing.issuperset(word for word in words_of(label) if not word.isdigit()):
            return False
        words = [word for word in words_of(label) if len(word) > 3 and not PLACES.fullmatch(word)]
        known = [
            word
            for word in words
            if word[: max(MISSPELT, round(0.7 * len(word)))] in self._beginnings
            or not _forms(word).isdisjoint(self._words)
        ]
        return 2 * sum(map(len, known)) > sum(map(len, words))

    @cached_property
    def _words(self) -> dict[str, set[str]]:
        """The words of all names by each of their forms."""
        words: dict[str, set[str]] = {}
        for word in {w for name in self.names for w in words_of(name)}:
            for form in _forms(word):
                words.setdefault(form, set()).add(word)
        return words

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        """The first letters, at least MISSPELT of them, of the words of all names."""
        words = set().union(*self._words.values())
        return frozenset(word[:n] for word in words for n in range(MISSPELT, len(word) + 1))

    @cached_property
    def narrowing(self) -> frozenset[str]:
        """Words that names have, but that none ends in, such as "anterior"; as `words_of` writes them."""
        split = [words for name in self.names if (words := words_of(name))]
        return frozenset(w for words in split for w in words) - {words[-1] for words in split}

    def by_code(self, system: str, code: str) -> Concept | None:
        """The concept with a code of `system` scp or snomed."""
        return self._codes.get((system, code))

    @cached_property
    def _codes(self) -> dict[tuple[str, str], Concept]:
        return {
            (system, code): concept
            for concept in self.concepts.values()
            for system in ("scp", "snomed")
            for code in (
                [concept.codes[system]] if isinstance(concept.codes.get(system), str) else concept.codes.get(system, [])
            )
        }

    def ancestors(self, concept: str) -> set[str]:
        """Every broader concept, at any distance; `concept` itself is not among them."""
        found: set[str] = set()
        todo = list(self.concepts[concept].broader)
        while todo:
            parent = todo.pop()
            if parent not in found and parent != concept:
                found.add(parent)
                todo.extend(self.concepts[parent].broader)
        return found

    def names_of(self, concepts: Iterable[str]) -> re.Pattern[str]:
        """Any name or alias of the concepts, as whole words."""
        names = {n for c in concepts for n in (self.concepts[c].name, *sum(self.concepts[c].aliases.values(), []))}
        longest_first = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
        return re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)", re.IGNORECASE)

    def without(self, concepts: Collection[str]) -> KnowledgeBase:
        """What is left if `concepts` are never mentioned: neither they, nor narrower ones, nor those named after them, nor any text
        that has one of their names.

        Raises EcgclipError for a concept that is not there.
        """
        if unknown := set(concepts) - self.concepts.keys():
            raise EcgclipError(f"no concept {sorted(unknown)[0]!r} in the knowledge base")
        if not concepts:
            return self
        named = self.names_of(concepts)
        gone = {c for c in self.concepts if c in concepts or self.ancestors(c) & set(concepts)}
        gone |= {c.id for c in self.concepts.values() if named.search(c.name)}

        def quiet(texts: Iterable[str], least: str = "") -> list[str]:
            return [t for t in texts if not named.search(t)] or [least] * bool(least)

        kept = {}
        for c in self.concepts.values():
            if c.id not in gone:
                kept[c.id] = replace(
                    c,
                    aliases={language: quiet(texts) for language, texts in c.aliases.items()},
                    broader=[b for b in c.broader if b not in gone],
                    lookalikes=[x for x in c.lookalikes if x not in gone],
                    definition=quiet([c.definition], c.name)[0],
                    definition_de=quiet([c.definition_de], c.name)[0],
                    criteria=tuple(x for x in c.criteria if not named.search(x.text)),
                    report=quiet(c.report, f"{c.name}."),
                    report_de=quiet(c.report_de, f"{c.name}."),
                    negation=quiet(c.negation),
                    negation_de=quiet(c.negation_de),
                )
        rest = KnowledgeBase(kept, self.sources, f"{self.digest} without {' '.join(sorted(concepts))}")
        rest.unsaid = named
        return rest
