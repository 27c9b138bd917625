"""What a user types becomes conditions, denied or not, joined by *and* / *or*, in English and German.

    "AF without left or right bundle branch block"
        ──▶ and(AF, not left bundle branch block, not right bundle branch block)

A text has segments ("… but …"), a segment has clauses (divided by *with* and by denials), a clause has lists
("A, B or C"), and a list has items. A name of the knowledge base is never taken apart ("RBBB with LAFB").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, takewhile

from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.ellipsis import complete_items, complete_modifiers, is_modifier
from ecgclip.knowledge.lookup import Lookup
from ecgclip.knowledge.spelling import words_of
from ecgclip.knowledge.tokens import Token, is_name, reword, tokenize
from ecgclip.knowledge.vocabulary import ABNORMALITY, DENIALS, FRAME, HEDGED, NEGATING_PREFIX


@dataclass(frozen=True)
class Condition:
    """A condition in words, or several that are asked for together.

    Attributes
    ----------
    text
        The condition in words; "" if there are parts.
    denied
        Whether the condition must be absent.
    parts
        Conditions that are asked for together.
    any_of
        Whether any of the parts is enough; else all are asked for.
    hedged
        Whether a word of doubt such as "possible" stood beside it.
    """

    text: str = ""
    denied: bool = False
    parts: tuple[Condition, ...] = ()
    any_of: bool = False
    hedged: bool = False


def parse(text: str, kb: KnowledgeBase) -> Condition:
    """Parse what is asked for; every text is understood in some way.

    *and* binds more than *or*. A comma stands for the last joint of its list ("A, B or C"), else for *and*. *with*
    and *without* divide first: "A or B with C" asks for C in any case. A denial reaches over a list ("no A, B or C":
    none of them) and ends at a comma after which no list follows, at *with* and at *but*.

    Returns
    -------
    Condition
        Its parts are in the order in which they were typed.

    Examples
    --------
    >>> parse("AF with LBBB or RBBB", kb) == Condition(parts=(
    ...     Condition("AF"),
    ...     Condition(parts=(Condition("LBBB"), Condition("RBBB")), any_of=True),
    ... ))
    True
    >>> [(part.text, part.denied) for part in parse("kein Vorhofflimmern, aber LSB", kb).parts]
    [('Vorhofflimmern', True), ('LSB', False)]
    """
    lookup = kb.lookup
    if is_name(" ".join(text.split()), lookup):
        return Condition(text.strip())
    text = reword(text)
    tokens = tokenize(text, lookup)
    segments = [list(group) for is_end, group in groupby(tokens, lambda t: t.kind == "end") if not is_end]
    conditions = [c for segment in segments if (c := _segment_condition(segment, lookup))]
    if not conditions:
        return Condition(text.strip())
    return _with_heads(_join(conditions, any_of=False), lookup)


def _segment_condition(tokens: list[Token], lookup: Lookup) -> Condition | None:
    """The condition of a text without a semicolon or *but*; None if it says nothing."""
    alternatives: list[list[Condition]] = [[]]
    for clause in _clauses(tokens, lookup):
        if clause.joint == "or":
            alternatives.append([])
        alternatives[-1] += _clause_conditions(clause, lookup)
    alternatives = [conditions for conditions in alternatives if conditions]
    return _any_of(alternatives) if alternatives else None


def _with_heads(condition: Condition, lookup: Lookup) -> Condition:
    """The same, but modifiers are completed across clauses: "incomplete but not complete RBBB"."""
    texts = iter(complete_modifiers([leaf.text for leaf in _leaves(condition)], lookup))

    def rewritten(part: Condition) -> Condition:
        return replace(part, parts=tuple(map(rewritten, part.parts))) if part.parts else replace(part, text=next(texts))

    return rewritten(condition)


def _leaves(condition: Condition) -> Iterator[Condition]:
    if condition.parts:
        for part in condition.parts:
            yield from _leaves(part)
    else:
        yield condition


# --- clauses and denials ----------------------------------------------------------------------------------------------


@dataclass
class _Clause:
    """Words and joints that neither *with* nor a denial divides."""

    joint: str = "and"  # to the clause before
    denied_before: bool = False  # a denial stands before it: "no AF"
    denied_after: bool = False  # a denial stands after it: "AF absent"
    tokens: list[Token] = field(default_factory=list)

    @property
    def joint_after(self) -> str:
        """How the next clause is joined to it."""
        return "or" if self.tokens[-1].kind == "or" else "and"


def _clauses(tokens: Sequence[Token], lookup: Lookup) -> list[_Clause]:
    """ "AF and no LBBB" has the clauses "AF and" and "LBBB", the second one denied before."""
    clauses = [_Clause()]
    denied_so_far = False
    for i, token in enumerate(tokens):
        kind = token.kind
        if kind == "nor":
            kind = "or" if denied_so_far else "word"
        if kind == "with":
            clauses.append(_Clause())
        elif kind in DENIALS:
            denied_so_far = True
            _deny(clauses, kind, tokens[i + 1 :], lookup)
        elif kind == "word" or clauses[-1].tokens:
            clauses[-1].tokens.append(replace(token, kind=kind))
        elif kind == "or":  # "AF absent or LBBB"
            clauses[-1].joint = "or"
    return [clause for clause in clauses if any(t.kind == "word" for t in clause.tokens)]


def _deny(clauses: list[_Clause], denial: str, following: Sequence[Token], lookup: Lookup) -> None:
    """Let a denial (a token of kind `denial`, before the tokens `following`) act on the clause that it denies.

    That is the last clause, its last item alone, or a new clause after it.
    """
    clause = clauses[-1]
    after_word = bool(clause.tokens) and clause.tokens[-1].kind == "word"
    next_kind = following[0].kind if following else ""
    if after_word and next_kind not in ("word", *DENIALS):  # "AF absent"
        clause.denied_after = not clause.denied_after
        clauses.append(_Clause())
    elif after_word and next_kind == "word" and _stands_inside(denial, following, lookup):  # "rhythm not regular"
        item = _split_off_last_item(clauses)
        item.denied_before = not item.denied_before
    elif clause.tokens:  # "AF and no LBBB"
        clauses.append(_Clause(clause.joint_after, denied_before=True))
    else:  # "no AF", "not without AF"
        clause.denied_before = not clause.denied_before


def _stands_inside(denial: str, following: Sequence[Token], lookup: Lookup) -> bool:
    """Whether a denial between words denies them all: "rhythm not regular", "ST elevation absent in V1"."""
    next_item = " ".join(token.text for token in takewhile(_is_word, following))
    return denial == "plain not" and not lookup.find(next_item) or following[0].text in ("in", "im")


def _split_off_last_item(clauses: list[_Clause]) -> _Clause:
    """Make the last item of the last clause a clause of its own, if it is not one already; return it."""
    clause = clauses[-1]
    item = list(takewhile(_is_word, reversed(clause.tokens)))[::-1]
    if len(item) == len(clause.tokens):
        return clause
    clause.tokens = clause.tokens[: -len(item)]
    clauses.append(_Clause(clause.joint_after, tokens=item))
    return clauses[-1]


def _is_word(token: Token) -> bool:
    return token.kind == "word"


# --- lists and their items --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _List:
    """Items, and the joints between them: "and" or "or"."""

    items: list[str]
    joints: list[str]


def _clause_conditions(clause: _Clause, lookup: Lookup) -> list[Condition]:
    """The conditions of a clause, which are all asked for.

    A denial before the clause reaches over its first list, one after it over its last.
    """
    lists = [_without_frames(each, lookup) for each in _lists(clause.tokens)]
    lists = _attach_modifiers([each for each in lists if each.items], lookup)
    hedged = any(HEDGED.search(token.text) for token in clause.tokens)
    conditions: list[Condition] = []
    for i, each in enumerate(lists):
        denied = (clause.denied_before and i == 0) != (clause.denied_after and i == len(lists) - 1)
        items, bound = complete_items(each.items, lookup)
        leaves = [
            _join([replace(_leaf(name, denied, lookup), hedged=hedged) for name in lookup.side_by_side(item)], False)
            for item in items
        ]
        # denied, neither this nor that may be there
        conditions += leaves if denied else [_join_list(leaves, each.joints, bound)]
    return conditions


def _lists(tokens: Sequence[Token]) -> Iterator[_List]:
    """ "A, B or C, D" is the list "A or B or C", and the list "D"."""
    items: list[str] = []
    joints: list[str] = []  # after each item but the last
    for is_word, group in groupby(tokens, _is_word):
        members = list(group)
        if is_word:
            items.append(" ".join(token.text for token in members))
        else:
            joints.append(members[-1].kind)  # of ", or" the last
    joints = joints[: len(items) - 1]
    list_joint = ""  # what the commas of a list stand for; "" if no "and" or "or" follows them
    for i in reversed(range(len(joints))):
        if joints[i] == "comma":
            joints[i] = list_joint
        list_joint = joints[i]
    first = 0
    for i, joint in enumerate([*joints, ""]):
        if not joint:
            yield _List(items[first : i + 1], joints[first:i])
            first = i + 1


def _without_frames(each: _List, lookup: Lookup) -> _List:
    """The list with its items stripped of their frames; items that say nothing else are left out."""
    bare = [_without_frame(item, lookup) for item in each.items]
    joints = [joint for joint, item in zip(["", *each.joints], bare, strict=True) if item][1:]
    return _List([item for item in bare if item], joints)


def _without_frame(text: str, lookup: Lookup) -> str:
    """ "the ECG shows AF" is AF; "" if nothing but a frame is said."""
    words = text.strip(" .!?" if text.count("(") == text.count(")") else " .!?()").split()
    while words and not lookup.find(" ".join(words)) and FRAME.fullmatch(words[0]):
        words = words[1:]
    while words and not lookup.find(" ".join(words)) and FRAME.fullmatch(words[-1]):
        words = words[:-1]
    return " ".join(words)


def _attach_modifiers(lists: Sequence[_List], lookup: Lookup) -> list[_List]:
    """A modifier after a comma belongs to the condition before: "infarction, anterior" is "anterior infarction"."""
    attached = list(lists[:1])
    for each in lists[1:]:
        if not _modifies(each, attached[-1], lookup):
            attached.append(each)
            continue
        (modifier,), (condition,) = each.items, attached[-1].items
        name = f"{modifier} {condition}"
        attached[-1] = _List([name if lookup.find(name) else f"{condition}, {modifier}"], [])
    return attached


def _modifies(each: _List, before: _List, lookup: Lookup) -> bool:
    """Whether the list is one word that only modifies the one condition of the list before."""
    return (
        len(each.items) == len(before.items) == 1
        and " " not in each.items[0]
        and not lookup.find(each.items[0])
        and lookup.modifiers.issuperset(words_of(each.items[0]))
        and not is_modifier(before.items[0], lookup)
    )


def _leaf(text: str, denied: bool, lookup: Lookup) -> Condition:
    if ABNORMALITY.fullmatch(text):
        return Condition("abnormal", denied)
    affirmed = NEGATING_PREFIX.sub("", text)
    if affirmed == text or lookup.find(text) or not lookup.find(affirmed):
        return Condition(text, denied)
    if lookup.find(f"non-{affirmed}"):  # "nicht-STEMI" is the name "non-STEMI"
        return Condition(f"non-{affirmed}", denied)
    return Condition(affirmed, not denied)  # "non-sinus rhythm"


# --- joining ----------------------------------------------------------------------------------------------------------


def _join_list(conditions: Sequence[Condition], joints: Sequence[str], bound: Sequence[bool]) -> Condition:
    """Join the conditions of a list, those first that share words: "RBBB and left anterior or posterior … block"."""
    groups = [[conditions[0]]]
    inner: list[list[str]] = [[]]  # the joints within each group
    outer: list[str] = []  # the joints between the groups
    for joint, condition, together in zip(joints, conditions[1:], bound, strict=True):
        if together:
            groups[-1].append(condition)
            inner[-1].append(joint)
        else:
            groups.append([condition])
            inner.append([])
            outer.append(joint)
    return _join_by([_join_by(*group) for group in zip(groups, inner, strict=True)], outer)


def _join_by(conditions: Sequence[Condition], joints: Sequence[str]) -> Condition:
    """Join conditions by the "and" or "or" between them; *and* binds more."""
    alternatives = [[conditions[0]]]
    for joint, condition in zip(joints, conditions[1:], strict=True):
        if joint == "or":
            alternatives.append([])
        alternatives[-1].append(condition)
    return _any_of(alternatives)


def _any_of(alternatives: Iterable[Sequence[Condition]]) -> Condition:
    """Any of the alternatives, of each of which all conditions are asked for."""
    return _join([_join(conditions, any_of=False) for conditions in alternatives], any_of=True)


def _join(conditions: Sequence[Condition], any_of: bool) -> Condition:
    """One condition of several; parts that are joined in the same way become one list."""
    flat = [part for c in conditions for part in (c.parts if c.parts and c.any_of == any_of else (c,))]
    return flat[0] if len(flat) == 1 else Condition(parts=tuple(flat), any_of=any_of)
