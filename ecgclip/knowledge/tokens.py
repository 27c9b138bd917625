"""What a user types, cut into tokens: names and other words, and the phrases that stand between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ecgclip.knowledge.lookup import Lookup
from ecgclip.knowledge.vocabulary import DENIALS, ENGLISH_JOINTS, KIND_OF_PHRASE, LONGEST_PHRASE, REWORDINGS, SIGNS

# a colon divides, except in "2:1"; a comma does, except in "0,5"
WORD = re.compile(r"[;&+]|,(?!\d)|(?:[^\s;:&+,]|,(?=\d)|:(?=\S))+")
LEAD = r"(?:III|II|I|aVR|aVL|aVF|V[1-9]R?)"
LEAD_LIST = re.compile(
    rf"{LEAD}(?:\s*(?:,|-|–|\bto\b|\bbis\b|\band\b|\bund\b|\bor\b|\boder\b|&)\s*{LEAD})+(?!\w)", re.IGNORECASE
)


@dataclass(frozen=True)
class Token:
    """A piece of the text, and what it does there: `kind` is a key of vocabulary.PHRASES, or "word"."""

    text: str
    kind: str


def is_name(text: str, lookup: Lookup) -> bool:
    """Return whether the whole text is a name.

    What has a sign or begins with a denial is one only as it is written: "AF, AFL" is a list, though "AF/AFL" is a
    name, and "no NSTEMI" is not "non-STEMI", though both have the same letters.
    """
    if lookup.find(text) is None:
        return False
    first = text.split(maxsplit=1)[0].casefold()
    divided = SIGNS.intersection(text) or KIND_OF_PHRASE.get((first,)) in DENIALS
    return not divided or text.casefold() in lookup.names


def reword(text: str) -> str:
    """Return the text with expressions of several words replaced by the phrases that `tokenize` knows.

    >>> reword("MI cannot be ruled out, no definite evidence of AF")
    'MI possible, no AF'
    """
    for pattern, phrase in REWORDINGS:
        text = pattern.sub(phrase, text)
    return text


def tokenize(text: str, lookup: Lookup) -> list[Token]:
    """Cut a text into tokens. Names that hold a phrase of the vocabulary stay whole, and so do lists of leads.

    >>> [(token.text, token.kind) for token in tokenize("AF without RBBB with LAFB", lookup)]
    [('AF', 'word'), ('without', 'not'), ('RBBB with LAFB', 'word')]
    >>> [token.text for token in tokenize("LBBB/RBBB, ST elevation in II, III", lookup)]
    ['LBBB', '/', 'RBBB', ',', 'ST', 'elevation', 'in', 'II, III']
    """
    words = list(WORD.finditer(text))
    lead_lists = {m.start(): m.end() for m in LEAD_LIST.finditer(text) if _names_leads(text, m)}
    tokens: list[Token] = []
    i = 0
    while i < len(words):
        start = words[i].start()
        size, name = _name_at(text, words, i, lookup)
        if not size and start in lead_lists:
            size = sum(word.start() < lead_lists[start] for word in words[i:])
        if size:
            tokens.append(Token(name or text[start : words[i + size - 1].end()], "word"))
        else:
            size, kind = _phrase_at(words, i)
            written = text[start : words[i + size - 1].end()]
            tokens += _split_at_slashes(written, lookup) if kind == "word" else [Token(written, kind)]
        i += size
    return tokens


def _names_leads(text: str, lead_list: re.Match[str]) -> bool:
    """I, II and III may be degrees: they are leads beside V1 or aVF, say, or after a word that says so."""
    return bool(
        re.search("V", lead_list.group(), re.IGNORECASE)
        or re.search(r"\b(?:in|leads?|ableitung(?:en)?)\s*$", text[: lead_list.start()], re.IGNORECASE)
    )


def _name_at(text: str, words: Sequence[re.Match[str]], i: int, lookup: Lookup) -> tuple[int, str]:
    """How many words from the i-th on make a name that a phrase in it would divide, and the name; else 0 and ""."""
    if words[i].group() in SIGNS:
        return 0, ""
    # signs count as words here
    for size in range(min(2 * lookup.longest_name, len(words) - i), 1, -1):
        inside = {word.group().casefold() for word in words[i : i + size]}
        divided = any("/" in word or (word,) in KIND_OF_PHRASE for word in inside)
        if not divided or words[i + size - 1].group() in SIGNS:
            continue
        name = " ".join(text[words[i].start() : words[i + size - 1].end()].split())
        # "LVH mit Strain" is the name "LVH with Strain"
        in_english = " ".join(ENGLISH_JOINTS.get(word, word) for word in name.split())
        for spelling in (name, in_english):
            if is_name(spelling, lookup):
                return size, spelling
    return 0, ""


def _phrase_at(words: Sequence[re.Match[str]], i: int) -> tuple[int, str]:
    """The number of words and the kind of the longest phrase that begins at the i-th word; else 1 and "word"."""
    for size in range(min(LONGEST_PHRASE, len(words) - i), 0, -1):
        phrase = tuple(_without_punctuation(word.group()) for word in words[i : i + size])
        if kind := KIND_OF_PHRASE.get(phrase):
            return size, kind
    return 1, "word"


def _without_punctuation(word: str) -> str:
    return word.casefold().strip(".!?()[]\"'") or word


def _split_at_slashes(word: str, lookup: Lookup) -> list[Token]:
    """ "LBBB/RBBB" and "left/right" become alternatives, if names have each piece and the whole is not one."""
    pieces = word.split("/")
    each_known = all(lookup.find(piece) or (len(piece) > 2 and lookup.has_word(piece)) for piece in pieces)
    if len(pieces) == 1 or not each_known or lookup.find(word):
        return [Token(word, "word")]
    tokens = [Token(pieces[0], "word")]
    for piece in pieces[1:]:
        tokens += [Token("/", "or"), Token(piece, "word")]
    return tokens
