"""Finding the concept that a label names: exactly, misspelt, or as a part of more words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.concepts import Concept
from ecgclip.knowledge.spelling import MIN_LETTERS, forms, normalise, words_of
from ecgclip.knowledge.vocabulary import FRAME

STEM_SHARE = 0.7  # of a word's letters: the same word with another ending begins with them
# words of names that name no condition by themselves
COMMON_WORD = re.compile(
    "(?:wave|complex|interval|segment|lead|narrow|heart|cardiac|chest|body|arm|back"
    "|welle|zacke|komplex|strecke|herz|brust|ableitung|schmal)(?:e?s|e?n|er)?"
)
# stands between a name and what is said of it: "ischemia in V1"
AFTER_NAME = re.compile(r"\s(?:in|im|on|of|at|der|des|von|bei|type|typ|grade|grad)\s", re.IGNORECASE)
# beside a name, makes another condition of it: "atypical flutter", "cerebral infarction", "history of AF"
CHANGES_NAME = re.compile(
    r"\b(?:atypi|pseudo|normal(?!ly)|physiolog|absent|non|nicht|famil|mimic|phenocop|history|risk|anamn|risiko"
    r"|cerebr|zerebr|brain|hirn|pulmon|lung|renal|kidney|nier|mesenter|bowel|darm|splen|milz|hepat|liver|leber|retin"
    r"|netzhaut|aort|carotid|karotis|spin|r(?:ü|ue)ckenmark|peripher|limb|legs?\b|bein|muscle|muskel|f(?:o?e|ö)tal|pituit)",
    re.IGNORECASE,
)
# words that say how much or since when: "frequent PVCs"; a name's own words may stand there too, others may not
QUALIFIER = re.compile(
    "frequent|occasional|rare|isolated|single|multiple|few|new|old|known|chronic|recurrent|intermittent|transient"
    "|persistent|permanent|sustained|mild|moderate|severe|marked|minimal|slight|subtle|significant|massive|large|small"
    "|diffuse|widespread|typical|classic(?:al)?|clear|obvious|definite|early|late|evolving|progressive|stable|controlled|interpolated|coarse|fine|discrete|minor|major"
    "|h(?:ae|ä)ufig|gelegentlich|vereinzelt|selten|einzeln|multipl|neu|alt|bekannt|chronisch|rezidivierend"
    "|intermittierend|transient|persistierend|permanent|anhaltend|leicht|gering|mittelgradig|schwer|ausgepr(?:ae|ä)gt"
    "|deutlich|massiv|gro(?:ss|ß)|klein|diffus|typisch|klassisch|klar|eindeutig|beginnend|fortschreitend|kontrolliert|interpoliert|grob|fein|diskret"
)
# words that order what stands around them: what they belong to cannot be dropped
STRUCTURE = re.compile(
    "type|typ|degree|grade?s?|and|or|to|with|without|no|not|after|before|und|oder|mit|ohne|nach|vor|kein[a-z]*|nicht"
)
# codes of data sets that are words as well: no text ends in one
NO_HEAD = re.compile("two|dig|als|it|el|sa|cd|cr|ap|lt|bru|je", re.IGNORECASE)
NUMERALS = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "1": 1, "2": 2, "3": 3, "4": 4}
INFLECTION = re.compile("(?:ly|e[srnm]?)?")  # of a qualifier
# endings of one word in its forms: atrium, atrial; fibrillating, fibrillation
ENDING = re.compile(
    "(?:e?s|en|e[rm]?|n|e?d|ing|ions?|al|[iu]?a|um|y|ies|ic|ical|ly|u?lar|ar|le|o?us|ungen|ierung|ung|isch)?"
)
MIN_STEM = 4  # letters that forms of one word have in common

# a code with the system that it is of: "AHA 173", "SNOMED CT 426783006", "ICD-10: I48.91"
CODE = re.compile(
    r"(aha|snomed|sctid|scp|icd)(?:[-\s]*(?:ct|ecg|10(?:-cm|-gm)?))?(?:\s+code)?[\s:#]+(\S+)", re.IGNORECASE
)
SYSTEMS = {"aha": "aha", "snomed": "snomed", "sctid": "snomed", "scp": "scp", "icd": "icd10"}


def index_spellings(concepts: Mapping[str, Concept]) -> dict[str, str]:
    """Map every id, name, alias and code, in the spelling of `normalise`, to its concept's id.

    Raises
    ------
    EcgclipError
        If two concepts share a spelling.
    """
    index: dict[str, str] = {}
    for concept in concepts.values():
        codes = [code for system in ("scp", "snomed") for code in concept.codes_of(system) if code]
        for spelling in (concept.name, concept.id, *concept.names[1:], *codes):
            owner = index.setdefault(normalise(spelling), concept.id)
            if owner != concept.id:
                raise EcgclipError(f"{concept.id}.yaml: alias {spelling!r} also belongs to {owner}; keep it in one")
    return index


class Lookup:
    """Finds concepts by their names.

    Parameters
    ----------
    concepts
        Concepts by their id.
    """

    def __init__(self, concepts: Mapping[str, Concept]):
        self.concepts = concepts

    def find(self, label: str) -> Concept | None:
        """Return the concept whose id, name, alias or code is `label`, in whatever spelling (see `normalise`).

        A number of the AHA's list needs its system: "AHA 173".
        """
        concept = self._spellings.get(normalise(label))
        if concept is None and (code := CODE.fullmatch(label.strip())):
            concept = self.by_code(SYSTEMS[code[1].casefold()], code[2].upper())
        concept = concept or self.by_code("icd10", label.strip().upper())
        return self.concepts[concept] if concept else None

    def by_code(self, system: str, code: str) -> str | None:
        """Return the id of the concept with a code of a system; see `KnowledgeBase.by_code`."""
        owners = self._codes.get((system, code), [])
        widest = [one for one in owners if all(one == other or one in self.ancestors(other) for other in owners)]
        return widest[0] if widest else None

    def ancestors(self, concept: str) -> set[str]:
        """Return the ids of all broader concepts, at any distance, without `concept` itself."""
        ancestors: set[str] = set()
        pending = list(self.concepts[concept].broader)
        while pending:
            parent = pending.pop()
            if parent not in ancestors and parent != concept:
                ancestors.add(parent)
                pending.extend(self.concepts[parent].broader)
        return ancestors

    def find_misspelt(self, label: str) -> Concept | None:
        """Return the concept that `label` names but for one letter of its longer words, or for their order.

        "atrial fibrilation", "STEMI anterior"; None if no concept fits, or more than one does.
        """
        words = words_of(label)
        for i, word in enumerate(words):
            if len(word) > MIN_LETTERS and word not in self._words_by_form.get(word, ()):
                similar = {w for form in forms(word) for w in self._words_by_form.get(form, ())}
                # another first letter makes another word: typical, atypical
                similar = {w for w in similar if w[0] == word[0]}
                if len(similar) != 1:
                    return None
                words[i] = similar.pop()
        return self.find(" ".join(words)) or self._in_other_order(words)

    def _in_other_order(self, words: Sequence[str]) -> Concept | None:
        """The one concept with a name of these words: "STEMI anterior" is "anterior STEMI"."""
        owners = self._by_words.get(tuple(sorted(words)), frozenset())
        return self.concepts[next(iter(owners))] if len(words) > 1 and len(owners) == 1 else None

    def find_within(self, label: str) -> Concept | None:
        """Return the concept of the longest name that `label` ends in, or has before "in V1", "of …", "type 2".

        "acute ischemia in V1" → ischemia; None for a normal ECG, as "axis normal" says less, and where a word beside
        the name is unknown or makes another condition of it: "mesenteric ischemia".
        """
        head, *rest = AFTER_NAME.split(label, maxsplit=1)
        words = head.split()
        if CHANGES_NAME.search(" ".join(rest)):
            return None
        while len(words) > 1 and not self.find(words[-1]) and self.modifiers.issuperset(words_of(words[-1])):
            words.pop()
        for n in range(len(words)):
            name = " ".join(words[n:])
            concept = None if NO_HEAD.fullmatch(name) else self.find(name) or self.find_misspelt(name)
            if concept and not CHANGES_NAME.search(" ".join(words[:n])) and all(map(self._may_precede, words[:n])):
                found = self._narrower(words[:n], concept) or concept
                return None if concept.category == "normal" or _is_of_another_type(found, rest) else found
        return None

    def side_by_side(self, label: str) -> tuple[str, ...]:
        """Return the two names that a label consists of, or the label: "RBBB LAFB" is RBBB and LAFB."""
        words = label.split()
        if not (self.find(label) or self.find_misspelt(label)):
            for n in range(1, len(words)):
                names = (" ".join(words[:n]), " ".join(words[n:]))
                found = {c.id for name in names if (c := self.find(name)) and _is_condition(name, c)}
                if len(found) == 2:
                    return names
        return (label,)

    def _may_precede(self, word: str) -> bool:
        """Whether a word before a name narrows it, as all do that names have, or says how much."""
        parts = words_of(word)
        known = all(self._words_by_form.keys() & forms(part) or _is_qualifier(part) for part in parts)
        return known and not any(map(STRUCTURE.fullmatch, parts))

    def _narrower(self, words: list[str], concept: Concept) -> Concept | None:
        """The concept called `words` and another name of `concept`: "3rd degree AVB" is "3rd degree AV block"."""
        candidates = (self.find(" ".join([*words, name])) for name in concept.names if words)
        return next((c for c in candidates if c and c.category != "beat"), None)

    def shares_words(self, label: str) -> bool:
        """Return whether most letters of `label` are in words that names have too, misspelt or with another ending.

        For other labels the nearest passage means nothing, as a text encoder finds one for nonsense, too. Words such as
        "P wave" or "chest" name no condition and do not count; an unknown abbreviation could mean anything.
        """
        if self.modifiers.issuperset(word for word in words_of(label) if not word.isdigit()):
            return False
        words = [word for word in words_of(label) if len(word) > 3 and not COMMON_WORD.fullmatch(word)]
        shared = [word for word in words if self._resembles_a_word(word)]
        return 2 * sum(map(len, shared)) > sum(map(len, words))

    def _resembles_a_word(self, word: str) -> bool:
        stem = word[: max(MIN_LETTERS, round(STEM_SHARE * len(word)))]
        return stem in self._stems or not forms(word).isdisjoint(self._words_by_form)

    def says_the_same(self, label: str, concept: str) -> bool:
        """Return whether a name of the concept has the words of `label`, no less and no more, whatever their forms.

        "fibrillating atria" is atrial fibrillation; "wide QRS" is not wide QRS tachycardia.
        """
        words = [word for word in _content(label) if not _is_qualifier(word)]
        return bool(words) and any(self._match(words, _content(name)) for name in self.concepts[concept].names)

    def _match(self, words: Sequence[str], others: Sequence[str]) -> bool:
        """Whether each word is one of the others in some form or misspelt, and the other way round."""
        same = [[self._is_same(word, other) for other in others] for word in words]
        return all(map(any, same)) and all(map(any, zip(*same, strict=True)))

    def _is_same(self, word: str, other: str) -> bool:
        """Whether a word of a label is a word of a name; one that is known itself is no slip for another."""
        if word == other:
            return True
        shared = next((n for n in range(min(len(word), len(other)), 0, -1) if word[:n] == other[:n]), 0)
        if any(ENDING.fullmatch(word[n:]) and ENDING.fullmatch(other[n:]) for n in range(MIN_STEM, shared + 1)):
            return True
        slip = min(len(word), len(other)) > MIN_LETTERS and word[0] == other[0]
        return slip and not self.has_word(word) and not forms(word).isdisjoint(forms(other))

    def has_word(self, word: str) -> bool:
        """Return whether a name has this word."""
        return normalise(word) in self._words_by_form.get(normalise(word), ())

    @cached_property
    def names(self) -> frozenset[str]:
        """All names and aliases, casefolded."""
        return frozenset(name.casefold() for concept in self.concepts.values() for name in concept.names)

    @cached_property
    def longest_name(self) -> int:
        """The number of words of the longest name."""
        return max((len(name.split()) for name in self.names), default=1)

    @cached_property
    def modifiers(self) -> frozenset[str]:
        """The words of names that no name ends in, such as "anterior"; in the spelling of `words_of`."""
        split = [words for name in self.names if (words := words_of(name))]
        return frozenset(w for words in split for w in words) - {words[-1] for words in split}

    @cached_property
    def _by_words(self) -> dict[tuple[str, ...], frozenset[str]]:
        """The words of each name, sorted → the concepts with such a name."""
        owners: dict[tuple[str, ...], frozenset[str]] = {}
        for concept in self.concepts.values():
            for name in concept.names:
                words = tuple(sorted(words_of(name)))
                owners[words] = owners.get(words, frozenset()) | {concept.id}
        return owners

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return index_spellings(self.concepts)

    @cached_property
    def _codes(self) -> dict[tuple[str, str], list[str]]:
        """System and code → the ids of the concepts with this code."""
        owners: dict[tuple[str, str], list[str]] = {}
        for concept in self.concepts.values():
            for system in set(SYSTEMS.values()):
                for code in concept.codes_of(system):
                    owners.setdefault((system, code), []).append(concept.id)
        return owners

    @cached_property
    def _words_by_form(self) -> dict[str, set[str]]:
        """Form (see `spelling.forms`) → the words of names that have it."""
        words: dict[str, set[str]] = {}
        for word in {w for name in self.names for w in words_of(name)}:
            for form in forms(word):
                words.setdefault(form, set()).add(word)
        return words

    @cached_property
    def _stems(self) -> frozenset[str]:
        """All beginnings, of MIN_LETTERS letters or more, of the words of names."""
        words: set[str] = set().union(*self._words_by_form.values())
        return frozenset(word[:n] for word in words for n in range(MIN_LETTERS, len(word) + 1))


def _is_condition(name: str, concept: Concept) -> bool:
    """Whether a name beside another one is a condition of its own: not "normal", "two", or a code."""
    return concept.category not in ("normal", "beat") and not NO_HEAD.fullmatch(name) and not name.isdigit()


def _is_of_another_type(concept: Concept, rest: Sequence[str]) -> bool:
    """Whether "type 1" follows the name of what has the number 2 in its names."""
    numbers = {NUMERALS[word] for name in concept.names for word in words_of(name) if word in NUMERALS}
    asked = NUMERALS.get((words_of(" ".join(rest)) or [""])[0])
    return asked is not None and bool(numbers) and asked not in numbers


def _is_qualifier(word: str) -> bool:
    match = QUALIFIER.match(word)
    return bool(match and INFLECTION.fullmatch(word[match.end() :]))


def _content(text: str) -> list[str]:
    """The words of a text that say something of a condition."""
    return [word for word in words_of(text) if not FRAME.fullmatch(word)]
