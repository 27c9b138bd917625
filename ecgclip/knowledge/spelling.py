"""Spelling: which differences do not matter, and which words are one slip of a letter apart."""

from __future__ import annotations

import re
import unicodedata

MIN_LETTERS = 5  # of a shorter word, one letter changed makes another word

_WRITTEN_OUT = {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss", ord("°"): ""}


def normalise(label: str) -> str:
    """Return the label without what does not matter: case, spaces and punctuation; umlauts are written out."""
    return re.sub(r"[\W_]+", "", _plain(label))


def words_of(text: str) -> list[str]:
    """Return the words and numbers of a text, each in the spelling of `normalise`."""
    return re.findall(r"[^\W_]+", _plain(text))


def forms(word: str) -> set[str]:
    """Return the word and, if it is long enough, what is left of it without any one letter.

    Two words that differ by one letter (added, missing or exchanged) have such a form in common.
    """
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)) if len(word) >= MIN_LETTERS)}


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold().translate(_WRITTEN_OUT)
