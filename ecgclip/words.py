"""What a user types, taken apart: conditions, denied or not, joined by *and* / *or*, in English and German.

    "AF without left or right bundle branch block" ──▶ and(AF, not left bundle branch block, not right bundle branch block)

A name of the knowledge base is never taken apart ("RBBB with LAFB", "no pacemaker output").
Entry point: `parse`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, takewhile
from typing import TypeAlias

from ecgclip.knowledge import KnowledgeBase, words_of

# a phrase with one of these meanings; "plain not" may stand in the middle of what it denies ("rhythm not regular")
PHRASES = {
    "end": ("; | but | but with | however | aber | aber mit | jedoch | sondern"),
    "comma": ",",
    "and": "& | + | and | plus | as well as | und | sowie",
    "or": "or | and/or | nor | oder | und/oder | bzw | beziehungsweise",
    "nor": "noch",  # only after a denial: "noch normal" says that it still is
    "with": "with | and with | together with | mit | und mit | zusammen mit | bei",
    "plain not": "not | nicht",
    "not": (
        "no | without | and without | but without | w/o | neither | absence of | absent | lack of | free of | free from | negative for"
        " | no evidence of | no evidence for | without evidence of | no sign of | no signs of | without signs of | no indication of"
        " | not present | not seen | not detected | ruled out | excluded | exclusion of | excluding | except"
        " | kein | keine | keinen | keiner | keinem | keines | keinerlei | ohne | und ohne | aber ohne | weder"
        " | ausschluss | ausschluss von | ausschluss eines | ausschluss einer | ausgeschlossen | frei von | fehlen | fehlen von"
        " | fehlen eines | fehlen einer | fehlende | fehlender | fehlendes | fehlenden | fehlt"
        " | kein hinweis auf | keine hinweise auf | ohne hinweis auf | kein hinweis für | keine hinweise für"
        " | kein anhalt für | kein anhalt auf | ohne anhalt für | kein nachweis von | kein nachweis eines | kein nachweis einer"
        " | keine zeichen von | keine zeichen eines | keine zeichen einer | keine zeichen für | ohne zeichen von"
        " | nicht nachweisbar | nicht vorhanden | nicht erkennbar"
    ),
}
MEANING = {tuple(p.split()): kind for kind, phrases in PHRASES.items() for p in phrases.split(" | ")}
LONGEST = max(map(len, MEANING))  # words
SIGNS = set(";,&+")
FRAME = re.compile(  # around a condition these say nothing
    "an?|the|any|this|of|in|on|for|there|is|are|was|were|has|have|having|does|do|did|shows?|showing|seen|present|detected|ecgs?|ekgs?"
    "|electrocardiogram|elektrokardiogramm|tracing|recording|records?|patients?|cases?|findings?|diagnosis"
    "|der|die|das|des|den|dem|eine?|einen|einer|eines|im|ist|sind|hat|haben|zeigt|zeigen|patienten|aufzeichnung|befund|diagnose"
    "|nachweisbar|vorhanden|erkennbar",
    re.IGNORECASE,
)
WORD = re.compile(r"[;&+]|,(?!\d)|(?:[^\s;:&+,]|,(?=\d)|:(?=\S))+")  # not a colon, except in "2:1"
LEAD = r"(?:III|II|I|aVR|aVL|aVF|V[1-9]R?)"
LEADS = re.compile(
    rf"{LEAD}(?:\s*(?:,|-|–|\bto\b|\bbis\b|\band\b|\bund\b|\bor\b|\boder\b|&)\s*{LEAD})+(?!\w)", re.IGNORECASE
)


@dataclass(frozen=True)
class Condition:
    """A condition in words, denied or not; or `parts` of which all, or any, are asked for."""

    text: str = ""
    denied: bool = False
    parts: tuple[Condition, ...] = ()
    any_of: bool = False


@dataclass(frozen=True)
class _Token:
    """A piece of the text, and what it does there: a key of PHRASES, or "word"."""

    text: str
    kind: str


def parse(text: str, kb: KnowledgeBase) -> Condition:
    """What is asked for, in the order in which it was typed; any text will do.

    *and* binds more than *or*; a comma is what the list ends in ("A, B or C"), else *and*. *with* and *without* divide first: "A or B with C" asks for
    C in any case. A denial reaches over a list ("no A, B or C": none of them) and ends at a comma after which no list follows, at *with* and at *but*.
    """
    segments = groupby(_tokens(text, kb), lambda t: t.kind == "end")
    conditions = [_segment(list(segment), kb) for end, segment in segments if not end]
    said = [c for c in conditions if c]
    return _join(said, any_of=False) if said else Condition(text.strip())


def _tokens(text: str, kb: KnowledgeBase) -> list[_Token]:
    """Known names that hold a word of PHRASES stay whole, and so do lists of leads."""
    found = list(WORD.finditer(text))
    leads = [m.span() for m in LEADS.finditer(text)]
    tokens: list[_Token] = []
    i = 0
    while i < len(found):
        start = found[i].start()
        size = _known_span(text, found, i, kb)
        if not size and (span := next((s for s in leads if s[0] == start and _names_leads(text, s)), None)):
            size = sum(span[0] <= m.start() < span[1] for m in found[i:])
        if size:
            tokens.append(_Token(text[start : found[i + size - 1].end()], "word"))
            i += size
            continue
        for n in range(min(LONGEST, len(found) - i), 0, -1):
            words = tuple(m.group().casefold().strip(".!?()[]\"'") or m.group() for m in found[i : i + n])
            if kind := MEANING.get(words):
                break
        else:
            kind = "word"
        tokens.append(_Token(text[start : found[i + n - 1].end()], kind))
        i += n
    return tokens


def _known_span(text: str, found: Sequence[re.Match], i: int, kb: KnowledgeBase) -> int:
    """How many words from the i-th on make a known name, where one of them would divide it; else 0."""
    if found[i].group() in SIGNS:
        return 0
    for n in range(min(2 * kb.longest_name, len(found) - i), 1, -1):  # signs are words here
        words = {m.group().casefold() for m in found[i : i + n]}
        if found[i + n - 1].group() in SIGNS or not any(len(p) == 1 and p[0] in words for p in MEANING):
            continue
        name = " ".join(text[found[i].start() : found[i + n - 1].end()].split())
        if kb.find(name) and (
            not words & SIGNS or name.casefold() in kb.names
        ):  # "AF, AFL" is a list, though "AF/AFL" is a name
            return n
    return 0


def _names_leads(text: str, span: tuple[int, int]) -> bool:
    """I, II and III are degrees as well: they are leads beside others, or after a word that says so."""
    return bool(
        re.search(r"V", text[slice(*span)], re.IGNORECASE)
        or re.search(r"\b(?:in|leads?|ableitung(?:en)?)\s*$", text[: span[0]], re.IGNORECASE)
    )


@dataclass
class _Run:
    """Words and joints that neither *with* nor a denial divides. before, after: a denial stands there."""

    joint: str = "and"  # to the run before
    before: bool = False
    after: bool = False
    tokens: list[_Token] = field(default_factory=list)


def _runs(tokens: list[_Token], kb: KnowledgeBase) -> list[_Run]:
    runs, denied_so_far = [_Run()], False
    for i, token in enumerate(tokens):
        run, kind = runs[-1], token.kind
        last = run.tokens[-1].kind if run.tokens else ""
        following = tokens[i + 1].kind if i + 1 < len(tokens) else ""
        if kind == "nor":
            kind = "or" if denied_so_far else "word"
        if kind == "with":
            runs.append(_Run())
        elif kind in ("not", "plain not"):
            denied_so_far = True
            if last == "word" and following not in ("word", "not", "plain not"):  # "AF absent"
                run.after = not run.after
                runs.append(_Run())
            elif (
                last == "word" and kind == "plain not" and following == "word" and not kb.find(_words(tokens[i + 1 :]))
            ):
                words = list(takewhile(lambda t: t.kind == "word", reversed(run.tokens)))[::-1]  # "rhythm not regular"
                if len(words) < len(run.tokens):
                    run.tokens = run.tokens[: -len(words)]
                    runs.append(run := _Run(_joint(run), tokens=words))
                run.before = not run.before
            elif run.tokens:
                runs.append(_Run(_joint(run), before=True))
            else:
                run.before = not run.before  # "not without AF"
        elif kind == "word" or run.tokens:
            run.tokens.append(replace(token, kind=kind))
        elif kind == "or":
            run.joint = "or"  # "AF absent or LBBB"
    return [run for run in runs if any(t.kind == "word" for t in run.tokens)]


def _joint(run: _Run) -> str:
    """How what follows is joined to it."""
    return "or" if run.tokens[-1].kind == "or" else "and"


def _segment(tokens: list[_Token], kb: KnowledgeBase) -> Condition | None:
    """The condition of a text without a semicolon or *but*; None where it says nothing."""
    alternatives: list[list[Condition]] = [[]]
    for run in _runs(tokens, kb):
        if run.joint == "or":
            alternatives.append([])
        alternatives[-1] += _run(run, kb)
    return _either(alternatives)


def _run(run: _Run, kb: KnowledgeBase) -> list[Condition]:
    """The conditions, all asked for. A denial before reaches over the first list, one after over the last."""
    lists: list[_List] = []
    for items, joints in _lists(run.tokens):
        bare = [_bare(item, kb) for item in items]
        joints = [joint for joint, item in zip(["", *joints], bare, strict=True) if item][1:]
        if any(bare):
            lists.append((_shared([item for item in bare if item], kb), joints))
    lists = _narrowed(lists, kb)
    out: list[Condition] = []
    for i, (items, joints) in enumerate(lists):
        denied = (run.before and i == 0) != (run.after and i == len(lists) - 1)
        conditions = [_leaf(item, denied, kb) for item in items]
        if denied:
            out += conditions  # neither this nor that
            continue
        alternatives = [[conditions[0]]]
        for joint, condition in zip(joints, conditions[1:], strict=True):
            if joint == "or":
                alternatives.append([])
            alternatives[-1].append(condition)
        out += [c for c in [_either(alternatives)] if c]
    return out


_List: TypeAlias = tuple[list[str], list[str]]  # items, and the joints between them, "and" or "or"


def _lists(tokens: list[_Token]) -> Iterator[_List]:
    """ "A, B or C, D" is "A or B or C", and "D"."""
    items: list[str] = []
    joints: list[str] = []  # after each item but the last
    for divides, group in groupby(tokens, lambda t: t.kind != "word"):
        held = list(group)
        if divides:
            joints.append(held[-1].kind)  # of ", or" the last
        else:
            items.append(" ".join(t.text for t in held))
    joints = joints[: len(items) - 1]
    meant = ""  # of a comma: what the list ends in
    for i in reversed(range(len(joints))):
        joints[i] = meant = meant if joints[i] == "comma" else joints[i]
    first = 0
    for i, joint in enumerate([*joints, ""]):
        if not joint:  # a comma that no list follows, or the end
            yield items[first : i + 1], joints[first:i]
            first = i + 1


def _words(tokens: Iterable[_Token]) -> str:
    """The text up to the first token that divides."""
    words = []
    for token in tokens:
        if token.kind != "word":
            break
        words.append(token.text)
    return " ".join(words)


def _bare(text: str, kb: KnowledgeBase) -> str:
    """Without what frames a condition: "the ECG shows AF" is AF; "" where nothing else is said."""
    words = text.strip(" .!?" if text.count("(") == text.count(")") else " .!?()").split()
    while words and not kb.find(" ".join(words)) and FRAME.fullmatch(words[0]):
        words = words[1:]
    while words and not kb.find(" ".join(words)) and FRAME.fullmatch(words[-1]):
        words = words[:-1]
    return " ".join(words)


def _leaf(text: str, denied: bool, kb: KnowledgeBase) -> Condition:
    rest = re.sub(r"^(?:non|nicht)[- ]", "", text, flags=re.IGNORECASE)
    if rest != text and not kb.find(text) and kb.find(rest):  # "non-sinus rhythm"
        return Condition(rest, not denied)
    return Condition(text, denied)


def _shared(items: list[str], kb: KnowledgeBase) -> list[str]:
    """Items of a list with what they share written out: "left and right bundle branch block", "Vorhofflimmern oder -flattern"."""
    items = list(items)
    for completed, order in ((_ended, range(len(items) - 2, -1, -1)), (_begun, range(1, len(items)))):
        for i in order:
            if not kb.find(items[i]):
                others = items[i + 1 :] if completed is _ended else items[:i][::-1]
                items[i] = next((c for other in others if (c := completed(items[i], other, kb))), items[i])
    return items


def _ended(item: str, other: str, kb: KnowledgeBase) -> str | None:
    """`item` with the end of `other`: "left" of "right bundle branch block", "Links-" of "Rechtsschenkelblock"."""
    words = other.split()
    tries = [f"{item} {' '.join(words[n:])}" for n in range(1, len(words))]
    if item.endswith("-"):
        tries += [item[:-1] + other[n:] for n in range(len(other) - 3)]
    return next((t for t in tries if kb.find(t)), None)


def _begun(item: str, other: str, kb: KnowledgeBase) -> str | None:
    """`item` with the beginning of `other`: "depression" of "ST elevation", "-flattern" of "Vorhofflimmern"."""
    words = other.split()
    tries = [f"{' '.join(words[:n])} {item}" for n in range(len(words) - 1, 0, -1)]
    if item.startswith("-"):
        tries += [other[:n] + item[1:] for n in range(len(other) - 1, 2, -1)]
    return next((t for t in tries if kb.find(t)), None)


def _narrowed(lists: list[_List], kb: KnowledgeBase) -> list[_List]:
    """A word after a comma that is no condition but narrows the one before it stays with that one: "infarction, anterior"."""
    out = lists[:1]
    for items, joints in lists[1:]:
        before = out[-1][0]
        if (
            len(items) == len(before) == 1
            and " " not in items[0]
            and not kb.find(items[0])
            and {*words_of(items[0])} <= kb.narrowing
        ):
            turned = f"{items[0]} {before[0]}"
            out[-1] = ([turned if kb.find(turned) else f"{before[0]}, {items[0]}"], [])
        else:
            out.append((items, joints))
    return out


def _either(alternatives: Iterable[list[Condition]]) -> Condition | None:
    """Any of several, of each of which all is asked for; None where there is nothing."""
    held = [_join(a, any_of=False) for a in alternatives if a]
    return _join(held, any_of=True) if held else None


def _join(conditions: Sequence[Condition], any_of: bool) -> Condition:
    """One condition of several; what is joined the same way is one list."""
    flat = [p for c in conditions for p in (c.parts if c.parts and c.any_of == any_of else (c,))]
    return flat[0] if len(flat) == 1 else Condition(parts=tuple(flat), any_of=any_of)
