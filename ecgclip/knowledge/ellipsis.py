"""What a text says once for several conditions, written out for each: "left or right bundle branch block"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ecgclip.knowledge.lookup import Lookup
from ecgclip.knowledge.spelling import words_of
from ecgclip.knowledge.vocabulary import DEGREE


def complete_items(items: Sequence[str], lookup: Lookup) -> tuple[list[str], list[bool]]:
    """Write out what the items of a list share.

    Returns
    -------
    items
        The list, each item complete.
    bound
        For each two neighbours, whether they share something and so belong together.

    Examples
    --------
    >>> complete_items(["AF", "left", "right bundle branch block"], lookup)
    (['AF', 'left bundle branch block', 'right bundle branch block'], [False, True])
    >>> complete_items(["Vorhofflimmern", "-flattern"], lookup)
    (['Vorhofflimmern', 'Vorhofflattern'], [True])
    """
    completed = list(items)
    bound = [False] * (len(completed) - 1)

    def complete(i: int, others: Iterable[int], completion: Callable[[str, str, Lookup], str | None]) -> None:
        for j in others:
            if whole := completion(completed[i], completed[j], lookup):
                completed[i] = whole
                bound[min(i, j) : max(i, j)] = [True] * abs(i - j)
                return

    for i in reversed(range(len(completed) - 1)):
        if completed[i].endswith("-") or not lookup.find(completed[i]):
            complete(i, range(i + 1, len(completed)), with_end_of)
    for i in range(1, len(completed)):
        if completed[i].startswith("-") or not lookup.find(completed[i]):
            complete(i, reversed(range(i)), with_beginning_of)
    return completed, bound


def complete_modifiers(texts: Sequence[str], lookup: Lookup) -> list[str]:
    """Give each text that is only a modifier the end of the condition after it, or else of one before it.

    >>> complete_modifiers(["incomplete", "complete RBBB"], lookup)
    ['incomplete RBBB', 'complete RBBB']
    >>> complete_modifiers(["infarction", "anterior"], lookup)
    ['infarction', 'anterior infarction']
    """
    completed = list(texts)
    for i, text in enumerate(completed):
        if not is_modifier(text, lookup):
            continue
        before = next((t for t in reversed(completed[:i]) if not is_modifier(t, lookup)), None)
        if i + 1 < len(completed) and (whole := with_end_of(text, completed[i + 1], lookup)):
            completed[i] = whole
        elif before:
            completed[i] = with_end_of(text, before, lookup) or f"{text} {before}"
    return completed


def is_modifier(text: str, lookup: Lookup) -> bool:
    """Return whether the text only modifies a condition and is none itself.

    >>> is_modifier("anterior", lookup), is_modifier("anterior infarction", lookup)
    (True, False)
    """
    return not lookup.find(text) and lookup.modifiers.issuperset(words_of(text)) and any(map(str.isalpha, text))


def with_end_of(item: str, other: str, lookup: Lookup) -> str | None:
    """Return `item` with the end of `other`, if that makes a name, or if `item` alone is only a modifier.

    >>> with_end_of("left", "right bundle branch block", lookup)
    'left bundle branch block'
    >>> with_end_of("Links-", "Rechtsschenkelblock", lookup)
    'Linksschenkelblock'
    >>> with_end_of("ST-", "T-Veränderungen", lookup)
    'ST-Veränderungen'
    """
    words = other.split()
    candidates = [f"{item} {' '.join(words[n:])}" for n in range(1, len(words))]
    if item.endswith("-"):
        if "-" in other[:-1]:
            return item + other.partition("-")[2]
        candidates = [item[:-1] + other[n:] for n in range(len(other) - 3)]
    # there may be no such name, but it is what is meant
    fallback = candidates[0] if candidates and is_modifier(item, lookup) and lookup.find(other) else None
    return next((name for name in candidates if lookup.find(name)), fallback)


def with_beginning_of(item: str, other: str, lookup: Lookup) -> str | None:
    """Return `item` with the beginning of `other`, if that makes a name.

    >>> with_beginning_of("depression", "ST elevation", lookup)
    'ST depression'
    >>> with_beginning_of("-flattern", "Vorhofflimmern", lookup)
    'Vorhofflattern'
    >>> with_beginning_of("2", "AV block type 1", lookup)
    'AV block type 2'
    """
    words = other.split()
    if DEGREE.fullmatch(item) and DEGREE.fullmatch(words[-1]):
        return " ".join([*words[:-1], item])
    candidates = [f"{' '.join(words[:n])} {item}" for n in range(len(words) - 1, 0, -1)]
    if item.startswith("-"):
        candidates = [other[:n] + item[1:] for n in range(len(other) - 1, 1, -1)]
    return next((name for name in candidates if lookup.find(name)), None)
