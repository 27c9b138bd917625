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

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import words_of

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
        "no | without | and without | but without | but not | w/o | neither | nothing | absence of | absent | lack of | free of | free from"
        " | negative for | not present | not seen | not detected | ruled out | excluded | exclusion of | excluding"
        " | minus | instead of | rather than | as opposed to"
        " | kein | keine | keinen | keiner | keinem | keines | keinerlei | ohne | und ohne | aber ohne | aber nicht | weder | nichts"
        " | ausschluss | ausschluss von | ausschluss eines | ausschluss einer | ausgeschlossen | frei von | fehlen | fehlen von"
        " | fehlen eines | fehlen einer | fehlende | fehlender | fehlendes | fehlenden | fehlt"
        " | nicht nachweisbar | nicht vorhanden | nicht erkennbar | statt | anstatt | anstelle von"
    ),
}
MEANING = {tuple(p.split()): kind for kind, phrases in PHRASES.items() for p in phrases.split(" | ")}
LONGEST = max(map(len, MEANING))  # words
SIGNS = set(";,&+")
ENGLISH = {"mit": "with", "ohne": "without", "und": "and", "oder": "or"}
EVIDENCE = (
    r"evidence|signs?|indications?|suspicion|hints?"
    r"|hinweise?n?|anhalt|anhaltspunkte?|zeichen|anzeichen|nachweise?|verdacht"
)
HEDGES = (  # a condition that is in doubt is asked for like any other
    r"possibl[ey]|probabl[ey]|likely|suspected|suspicious|suspicion|questionable|consider|borderline|cannot rule out|suggests?|suggestive"
    r"|suggesting|consistent|compatible|v\.?a\.?|verdacht|verdächtig|mögliche?[nrs]?|möglicherweise|wahrscheinliche?[nrs]?|fragliche?[nrs]?"
    r"|vermutete?[nrs]?|vermutliche?[nrs]?|vereinbar|passend"
)
HEDGED = re.compile(rf"\b(?:{HEDGES})(?!\w)", re.IGNORECASE)
FRAME = re.compile(  # around a condition these say nothing
    "an?|the|any|this|that|of|in|on|for|to|there|is|are|was|were|has|have|having|does|do|did|shows?|showing|seen|present|detected|ecgs?|ekgs?"
    "|electrocardiogram|elektrokardiogramm|tracing|recording|records?|patients?|cases?|findings?|diagnosis|only|also|just|other|otherwise"
    "|further|definite|significant|relevant"
    "|der|die|das|des|den|dem|eine?|einen|einer|eines|im|auf|für|von|zu|ist|sind|hat|haben|zeigt|zeigen|besteht|bestehen|liegt|liegen|vor"
    "|patienten|aufzeichnung|befund|diagnose|gesichert|kann|können|werden|nachweisbar|vorhanden|erkennbar|nur|auch|sonst|ansonsten|weitere?[nrs]?|sicherer?[ns]?"
    f"|{EVIDENCE}|{HEDGES}",
    re.IGNORECASE,
)
JOINTS = r"and|or|with|but|no|without|und|oder|mit|aber|ohne|kein\w*"
REWORDED = tuple(  # what several words say together, in those of PHRASES
    (re.compile(pattern, re.IGNORECASE), plain)
    for pattern, plain in (
        (r"can['’]t\b", "can not"),
        (r"(?<=\w)n['’]t\b", " not"),
        # what cannot be excluded may be there
        (
            r"\bcan ?not (?:\w+ )?(?:be )?(?:(?:ruled|rule) out|excluded?)\b|\bnot (?:\w+ )?(?:ruled out|excluded)\b",
            "possible",
        ),
        (r"\bnicht (?:\w+ )?(?:auszuschließen|auszuschliessen|ausgeschlossen)(?: werden)?", "possible"),
        # "no definite evidence of" denies as "no" does
        (
            rf"\b(no|not|without|lacks?|absence of|nicht|kein\w*|ohne)\s+(?:(?!(?:{JOINTS})\b)\w+\s+){{0,2}}(?:{EVIDENCE})\s+"
            r"(?:of|for|to|auf|für|von|des|der|eine[rsnm]?)\b",
            r"\1",
        ),
        (r"\bnot (?:caused by|due to|because of|secondary to)\b", "without"),
        (r"\bnot only\b|\bnicht nur\b", ""),
        # "anything but AF" has no AF; "normal except for RBBB" has it
        (
            r"\b(?:any|every)?(?:thing|all)\s+(?:but|except|other than)(?: for)?\b|\balles (?:außer|ausser|bis auf)\b",
            "no",
        ),
        (r"\b(?:except(?: for)?|apart from|aside from|other than|bis auf|abgesehen von|außer|ausser)\b", "with"),
        (r"(?<=[\w)]\s)(?<!and\s)(?<!und\s)(?<!or\s)(?<!oder\s)-(?=[^\W\d])", "without "),  # "AF -LBBB"
        (r"(?<=\s)[-–](?=\s)", ","),
        (r"\bo\.\s?B\.?(?!\w)|\bohne (?:besonderen )?Befund\b", "normal"),
    )
)
ABNORMALITY = re.compile(  # without saying of what
    "(?:abnormalit(?:y|ies)|anomal(?:y|ies)|auffälligkeit(?:en)?|besonderheit(?:en)?|abnormalität(?:en)?)",
    re.IGNORECASE,
)
WORD = re.compile(r"[;&+]|,(?!\d)|(?:[^\s;:&+,]|,(?=\d)|:(?=\S))+")  # not a colon, except in "2:1"
DEGREE = re.compile(r"\d+|[IV]+")
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
    hedged: bool = False  # "possible", say, stood with it


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
    if _is_name(" ".join(text.split()), kb):
        return Condition(text.strip())
    for pattern, plain in REWORDED:
        text = pattern.sub(plain, text)
    segments = groupby(_tokens(text, kb), lambda t: t.kind == "end")
    conditions = [_segment(list(segment), kb) for end, segment in segments if not end]
    said = [c for c in conditions if c]
    return _headed(_join(said, any_of=False), kb) if said else Condition(text.strip())


def _tokens(text: str, kb: KnowledgeBase) -> list[_Token]:
    """Known names that hold a word of PHRASES stay whole, and so do lists of leads."""
    found = list(WORD.finditer(text))
    leads = [m.span() for m in LEADS.finditer(text)]
    tokens: list[_Token] = []
    i = 0
    while i < len(found):
        start = found[i].start()
        size, name = _known_span(text, found, i, kb)
        if not size and (span := next((s for s in leads if s[0] == start and _names_leads(text, s)), None)):
            size = sum(span[0] <= m.start() < span[1] for m in found[i:])
        if size:
            tokens.append(_Token(name or text[start : found[i + size - 1].end()], "word"))
            i += size
            continue
        for n in range(min(LONGEST, len(found) - i), 0, -1):
            words = tuple(m.group().casefold().strip(".!?()[]\"'") or m.group() for m in found[i : i + n])
            if kind := MEANING.get(words):
                break
        else:
            kind = "word"
        written = text[start : found[i + n - 1].end()]
        for j, piece in enumerate(_alternatives(written, kb) if kind == "word" else [written]):
            tokens += [_Token("/", "or")] * bool(j) + [_Token(piece, kind)]
        i += n
    return tokens


def _alternatives(word: str, kb: KnowledgeBase) -> list[str]:
    """ "LBBB/RBBB" and "left/right": the pieces, where names have each of them."""
    pieces = word.split("/")
    told = all(kb.find(p) or (len(p) > 2 and kb.has_word(p)) for p in pieces)
    return pieces if len(pieces) > 1 and told and not kb.find(word) else [word]


def _known_span(text: str, found: Sequence[re.Match], i: int, kb: KnowledgeBase) -> tuple[int, str]:
    """How many words from the i-th on make a known name, where one of them would divide it, and the name; else 0 and ""."""
    if found[i].group() in SIGNS:
        return 0, ""
    for n in range(min(2 * kb.longest_name, len(found) - i), 1, -1):  # signs are words here
        words = {m.group().casefold() for m in found[i : i + n]}
        if found[i + n - 1].group() in SIGNS or not any("/" in word or (word,) in MEANING for word in words):
            continue
        name = " ".join(text[found[i].start() : found[i + n - 1].end()].split())
        for spelling in (name, " ".join(ENGLISH.get(word, word) for word in name.split())):  # "LVH mit Strain"
            if _is_name(spelling, kb):
                return n, spelling
    return 0, ""


def _is_name(text: str, kb: KnowledgeBase) -> bool:
    """ "AF, AFL" is a list, though "AF/AFL" is a name."""
    return kb.find(text) is not None and (not SIGNS.intersection(text) or text.casefold() in kb.names)


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
                last == "word"
                and following == "word"
                and (kind == "plain not" and not kb.find(_words(tokens[i + 1 :])) or tokens[i + 1].text in ("in", "im"))
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
            lists.append(([item for item in bare if item], joints))
    lists = _narrowed(lists, kb)
    hedged = any(HEDGED.search(t.text) for t in run.tokens)
    out: list[Condition] = []
    for i, (items, joints) in enumerate(lists):
        denied = (run.before and i == 0) != (run.after and i == len(lists) - 1)
        items, bound = _shared(items, kb)
        conditions = [replace(_leaf(item, denied, kb), hedged=hedged) for item in items]
        if denied:
            out += conditions  # neither this nor that
            continue
        groups: list[_Group] = [(conditions[:1], [])]
        outer: list[str] = []
        for joint, condition, together in zip(joints, conditions[1:], bound, strict=True):
            if together:
                groups[-1][0].append(condition)
                groups[-1][1].append(joint)
            else:
                groups.append(([condition], []))
                outer.append(joint)
        out.append(_joined([_joined(*group) for group in groups], outer))
    return out


def _joined(conditions: Sequence[Condition], joints: Sequence[str]) -> Condition:
    """Conditions with "and" or "or" between them; *and* binds more."""
    alternatives = [[conditions[0]]]
    for joint, condition in zip(joints, conditions[1:], strict=True):
        if joint == "or":
            alternatives.append([])
        alternatives[-1].append(condition)
    return _join([_join(a, any_of=False) for a in alternatives], any_of=True)


_List: TypeAlias = tuple[list[str], list[str]]  # items, and the joints between them, "and" or "or"
_Group: TypeAlias = tuple[list[Condition], list[str]]  # the same of conditions


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
    if ABNORMALITY.fullmatch(text):
        return Condition("abnormal", denied)
    rest = re.sub(r"^(?:non|nicht)[- ]", "", text, flags=re.IGNORECASE)
    if rest != text and not kb.find(text) and kb.find(rest):  # "non-sinus rhythm"
        # "nicht-STEMI" is "non-STEMI", a name
        return Condition(f"non-{rest}") if kb.find(f"non-{rest}") else Condition(rest, not denied)
    return Condition(text, denied)


def _shared(items: list[str], kb: KnowledgeBase) -> tuple[list[str], list[bool]]:
    """Items of a list with what they share written out: "left and right bundle branch block", "Vorhofflimmern oder -flattern".

    Also, for each joint, whether the items beside it share something, and so belong together.
    """
    items, bound = list(items), [False] * (len(items) - 1)
    for completed, order in ((_ended, range(len(items) - 2, -1, -1)), (_begun, range(1, len(items)))):
        for i in order:
            half = items[i].startswith("-") if completed is _begun else items[i].endswith("-")
            if not half and kb.find(items[i]):
                continue
            others = range(i + 1, len(items)) if completed is _ended else range(i - 1, -1, -1)
            for j in others:
                if whole := completed(items[i], items[j], kb):
                    items[i] = whole
                    bound[min(i, j) : max(i, j)] = [True] * abs(i - j)
                    break
    return items, bound


def _ended(item: str, other: str, kb: KnowledgeBase) -> str | None:
    """`item` with the end of `other`: "left" of "right bundle branch block", "Links-" of "Rechtsschenkelblock"."""
    words = other.split()
    tries = [f"{item} {' '.join(words[n:])}" for n in range(1, len(words))]
    if item.endswith("-"):
        if "-" in other[:-1]:  # "ST- und T-Veränderungen"
            return item + other.partition("-")[2]
        tries = [item[:-1] + other[n:] for n in range(len(other) - 3)]
    # there may be no such name, but it is what is meant
    meant = tries[0] if tries and _headless(item, kb) and kb.find(other) else None
    return next((t for t in tries if kb.find(t)), meant)


def _begun(item: str, other: str, kb: KnowledgeBase) -> str | None:
    """`item` with the beginning of `other`: "depression" of "ST elevation", "-flattern" of "Vorhofflimmern"."""
    words = other.split()
    if DEGREE.fullmatch(item) and DEGREE.fullmatch(words[-1]):  # "AV block type 1 or 2"
        return " ".join([*words[:-1], item])
    tries = [f"{' '.join(words[:n])} {item}" for n in range(len(words) - 1, 0, -1)]
    if item.startswith("-"):
        tries = [other[:n] + item[1:] for n in range(len(other) - 1, 1, -1)]
    return next((t for t in tries if kb.find(t)), None)


def _headless(text: str, kb: KnowledgeBase) -> bool:
    """Whether it only narrows a condition, and is none: "anterior"."""
    return not kb.find(text) and kb.narrowing.issuperset(words_of(text)) and any(map(str.isalpha, text))


def _headed(condition: Condition, kb: KnowledgeBase) -> Condition:
    """The same, where what only narrows has the head of the condition after or before it: "incomplete but not complete RBBB"."""
    leaves = list(_leaves(condition))
    texts = [leaf.text for leaf in leaves]
    for i, text in enumerate(texts):
        if not _headless(text, kb):
            continue
        if i + 1 < len(texts) and (whole := _ended(text, texts[i + 1], kb)):
            texts[i] = whole
        elif before := next((t for t in reversed(texts[:i]) if not _headless(t, kb)), None):
            texts[i] = _ended(text, before, kb) or f"{text} {before}"
    at = iter(texts)

    def written(part: Condition) -> Condition:
        return replace(part, parts=tuple(map(written, part.parts))) if part.parts else replace(part, text=next(at))

    return written(condition)


def _leaves(condition: Condition) -> Iterator[Condition]:
    if condition.parts:
        for part in condition.parts:
            yield from _leaves(part)
    else:
        yield condition


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
            and not _headless(before[0], kb)
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
