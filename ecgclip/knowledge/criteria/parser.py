"""Reads the text of a test into its tree: `parse_test("ST >= st_up in 2 contiguous of inferior")`.

    test     = both { "or" both }
    both     = one { "and" one }
    one      = "not" one | "is" CONDITION | NAME [where] | FACT [where] | "(" test ")" [where] | compare [where]
    compare  = sum (">=" | ">" | "<=" | "<") (threshold | sum) | sum "between" threshold "and" threshold | sum "=" n
    threshold = ["-"] number [unit] ["±" number] | ["-"] LIMIT
    sum      = [number "*"] quantity { ("+" | "-") [number "*"] quantity }
    quantity = [beats "."] QUANTITY ["(" LEAD ")"]
    where    = "in" LEAD | "in" ("any" | "all" | "most" | n ["contiguous"]) "of" { LEAD | TERRITORY }

Nothing is evaluated here, and a text has a greatest length and depth, so that one from a stranger is safe to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from itertools import combinations
from typing import NoReturn

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.knowledge.criteria.limits import LIMIT_KINDS
from ecgclip.knowledge.criteria.named import NAMED, NEEDS_LEAD
from ecgclip.knowledge.criteria.quantities import BEATS, PLACES, QUANTITIES, UNITS
from ecgclip.knowledge.criteria.tree import (
    And,
    Between,
    Bound,
    Compare,
    Count,
    Fact,
    Is,
    Limit,
    Named,
    Not,
    Number,
    Or,
    Quantity,
    Sum,
    Term,
    Test,
    Where,
)

MAX_LENGTH = 1000  # characters of a test
MAX_DEPTH = 20  # brackets and "not" within one another
SIGNS = (">=", "<=", ">", "<")
WORDS = {"and", "or", "not", "in", "is", "between", "any", "all", "most", "of", "contiguous"}
_TOKEN = re.compile(
    r"\s*(?:"
    r"(?P<condition>is\s+[a-z0-9]+(?:-[a-z0-9]+)*)(?![\w-])"
    r"|(?P<number>\d{1,6}(?:\.\d{1,6})?)(?![\d.])"
    r"|(?P<unit>/min|%|mV/s)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*(?::[a-z0-9_]+)?)"
    r"|(?P<sign>>=|<=|[>=<()+*.±-])"
    r")"
)
_SPELLINGS = str.maketrans({"≥": ">=", "≤": "<=", "−": "-", "·": "*", "×": "*"})
# Leads of which two or more are contiguous: any of the inferior ones, the high lateral ones, neighbours on the chest
_NEIGHBOURS = tuple(LEADS[6 + i : 6 + j] for i in range(6) for j in range(i + 2, 7))


def parse_test(text: str) -> Test:
    """Read a test.

    Raises
    ------
    EcgclipError
        If it is no test of the language; the message, one line, says what is wrong.
    """
    if not isinstance(text, str) or not text.strip():
        raise EcgclipError("a test is a text such as QRS >= 120 ms")
    if len(text) > MAX_LENGTH:
        raise EcgclipError(f"a test has {MAX_LENGTH} characters at most, not {len(text)}")
    parser = _Parser(text)
    test = parser.whole()
    if needs_lead(test):
        raise EcgclipError(f"{_first_open(test)} is of one lead: name it, as in ST(V2) or in any of V1 V2")
    return test


def parse_named(text: str) -> Test:
    """Read the test behind a name, which may be of a lead that it leaves open."""
    return _Parser(text).whole()


def contiguous_groups(number: int, leads: Iterable[str]) -> list[tuple[str, ...]]:
    """All groups of `number` contiguous leads among `leads`."""
    inside = set(leads)
    groups = [*combinations(("II", "III", "aVF"), number), ("I", "aVL"), *_NEIGHBOURS]
    return [group for group in groups if len(group) == number and inside.issuperset(group)]


@cache
def leads_of(places: tuple[str, ...]) -> tuple[str, ...]:
    """The leads of places, each once, in the order of the places."""
    return tuple(dict.fromkeys(lead for place in places for lead in PLACES[place]))


def needs_lead(test: Test) -> bool:
    """Whether a test holds for one lead that it does not name itself."""
    if isinstance(test, And | Or):
        return any(needs_lead(part) for part in test.tests)
    if isinstance(test, Not):
        return needs_lead(test.test)
    return not isinstance(test, Where) and _first_open(test) is not None


def _first_open(test: Test) -> str | None:
    """The first name in a test that holds for one lead and has none."""
    if isinstance(test, And | Or):
        return next((name for name in map(_first_open, test.tests) if name), None)
    if isinstance(test, Not):
        return _first_open(test.test)
    if isinstance(test, Named):
        return test.name if test.name in NEEDS_LEAD else None
    if isinstance(test, Fact):
        return _open_quantity([test.quantity])
    if isinstance(test, Compare):
        sums = [side for side in (test.left, test.right) if isinstance(side, Sum)]
        return _open_quantity(term.quantity for each in sums for term in each.terms)
    if isinstance(test, Between | Count):
        return _open_quantity(term.quantity for term in test.value.terms)
    return None


def _open_quantity(quantities: Iterable[Quantity]) -> str | None:
    return next((q.name for q in quantities if QUANTITIES[q.name].by_lead and q.lead is None), None)


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str):
        self._tokens = _tokens(text.translate(_SPELLINGS))
        self._at = 0
        self._depth = 0

    # --- tokens -------------------------------------------------------------------------------------------------------

    @property
    def _next(self) -> tuple[str, str]:
        """Kind and text of the next token; ("end", "") after the last."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self) -> str:
        text = self._next[1]
        self._at += 1
        return text

    def _take_if(self, *texts: str) -> str | None:
        return self._take() if self._next[1] in texts and self._next[0] != "end" else None

    def _expect(self, text: str, where: str) -> None:
        if not self._take_if(text):
            self._fail(f"{text!r} is missing {where}")

    def _fail(self, problem: str) -> NoReturn:
        found = f"at {self._next[1]!r}" if self._next[1] else "at the end"
        raise EcgclipError(f"{problem} ({found})")

    # --- tests --------------------------------------------------------------------------------------------------------

    def whole(self) -> Test:
        test = self._test()
        if self._next[0] != "end":
            self._fail("an open bracket is missing" if self._next[1] == ")" else "'and', 'or' or 'in' is missing")
        return test

    def _test(self) -> Test:
        tests = [self._both()]
        while self._take_if("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else Or(tuple(tests))

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take_if("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else And(tuple(tests))

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"more than {MAX_DEPTH} brackets within one another")
        test = self._statement()
        self._depth -= 1
        return test

    def _statement(self) -> Test:
        kind, text = self._next
        if self._take_if("not"):
            return Not(self._one())
        if kind == "condition":
            return Is(self._take().split()[1])
        if self._take_if("("):
            test = self._test()
            self._expect(")", "after a bracket that was opened")
            return self._where(test)
        if kind == "word" and text in NAMED and text not in QUANTITIES:
            return self._where(Named(self._take()))
        return self._where(self._compare())

    def _where(self, test: Test) -> Test:
        if not self._take_if("in"):
            return test
        how, contiguous, places = self._places()
        leads = leads_of(places)
        if not needs_lead(test):
            self._fail("'in' follows a test of single leads, and nothing here is of a lead")
        if isinstance(how, int) and how > len(leads):
            self._fail(f"{how} leads of {len(leads)} are asked for")
        if contiguous and not contiguous_groups(int(how), leads):
            self._fail(f"no {how} of {' '.join(leads)} are contiguous")
        return Where(test, how, contiguous, places)

    def _places(self) -> tuple[str | int, bool, tuple[str, ...]]:
        if self._next[1] in LEADS:
            return "all", False, (self._take(),)
        how: str | int
        contiguous = False
        if self._next[0] == "number":
            how = self._whole_number()
            contiguous = bool(self._take_if("contiguous"))
        elif word := self._take_if("any", "all", "most"):
            how = word
        else:
            self._fail("after 'in' comes a lead, 'any of', 'all of', 'most of' or a number of leads")
        self._expect("of", f"after 'in {how}'")
        places: list[str] = []
        while self._next[1] in PLACES and (self._next[1] != "all" or not places):
            places.append(self._take())
        if not places:
            self._unknown("lead or territory", PLACES)
        return how, contiguous, tuple(places)

    # --- comparisons --------------------------------------------------------------------------------------------------

    def _compare(self) -> Test:
        value = self._sum()
        first = value.terms[0]
        if QUANTITIES[first.quantity.name].unit == "yes":
            if first.factor != 1:
                self._fail(f"{first.quantity} is yes or no and takes no factor")
            return Fact(first.quantity)
        if sign := self._take_if(*SIGNS):
            return self._compared(value, sign)
        if self._take_if("between"):
            return self._between(value)
        if self._take_if("="):
            if _unit(value) != "count":
                self._fail(f"'=' is for counts; {value} is compared by >=, >, <= or <")
            return Count(value, self._whole_number())
        self._fail(f"{value} is compared with nothing: >=, >, <=, <, = or 'between' is missing")

    def _compared(self, value: Sum, sign: str) -> Test:
        if self._is_bound():
            bound = self._bound(value)
            if isinstance(bound, Number) and not bound.unit and bound.value and _typed(value):
                self._fail(f"{bound} has no unit: {value} is in {_typed(value)}")
            return Compare(value, sign, bound)
        if self._next[0] == "word" and self._next[1] not in (*QUANTITIES, *BEATS):
            self._unknown("limit or quantity", [*LIMIT_KINDS, *QUANTITIES])
        right = self._sum()
        if _unit(right) != _unit(value):
            self._fail(f"{value} is in {_typed(value) or _unit(value)} and {right} in {_typed(right) or _unit(right)}")
        if _unit(value) == "deg":
            self._fail("angles are compared with numbers only")
        return Compare(value, sign, right)

    def _between(self, value: Sum) -> Test:
        low = self._bound(value)
        self._expect("and", "after the lower end of 'between'")
        high = self._bound(value)
        ends = [end for end in (low, high) if isinstance(end, Number)]
        if any(end.half_width is not None for end in ends):
            self._fail("'between' takes no ±")
        if ends and _typed(value) and not any(end.unit for end in ends) and any(end.value for end in ends):
            self._fail(f"'between' has no unit: {value} is in {_typed(value)}")
        if _unit(value) == "deg" and len(ends) == 2 and (ends[1].value - ends[0].value) % 360 == 0:
            self._fail(f"between {low} and {high} lie all angles or none")
        if len(ends) == 2 and ends[0].value >= ends[1].value and _unit(value) != "deg":
            self._fail(f"'between' goes from the lower to the higher end, not from {low} to {high}")
        return Between(value, low, high)

    def _is_bound(self) -> bool:
        """Whether a threshold follows: a number that is no factor, or the name of a limit."""
        at = self._at + (self._next[1] == "-")
        kind, text = self._tokens[at] if at < len(self._tokens) else ("end", "")
        after = self._tokens[at + 1][1] if at + 1 < len(self._tokens) else ""
        return (kind == "number" and after != "*") or (text in LIMIT_KINDS and text not in QUANTITIES)

    def _bound(self, value: Sum) -> Bound:
        negative = bool(self._take_if("-"))
        if self._next[0] == "number":
            return self._number(value, negative)
        if self._next[1] not in LIMIT_KINDS:
            self._unknown("limit", LIMIT_KINDS, "a number or a limit")
        limit = Limit(self._take(), negative)
        kind = LIMIT_KINDS[limit.name]
        if kind.unit != _unit(value):
            self._fail(f"{limit.name} is in {kind.unit} and {value} in {_typed(value) or _unit(value)}")
        if kind.by_lead and not _one_lead(value):
            self._fail(f"{limit.name} depends on the lead: compare it with a value of one lead")
        return limit

    def _number(self, value: Sum, negative: bool) -> Number:
        size = float(self._take()) * (-1 if negative else 1)
        unit, half_width = "", None
        if self._next[1] in UNITS:
            unit = self._take()
            if unit != _typed(value):
                self._fail(f"{value} is in {_typed(value) or 'no unit'}, not in {unit}")
        if self._take_if("±"):
            if self._next[0] != "number" or float(self._next[1]) <= 0:
                self._fail("after ± comes a number above 0")
            half_width = float(self._take())
        if _unit(value) == "count" and (half_width is not None or size != int(size)):
            self._fail("a count is compared with a whole number, without ±")
        return Number(size, unit, half_width)

    # --- quantities ---------------------------------------------------------------------------------------------------

    def _sum(self) -> Sum:
        terms = [self._term(1)]
        while QUANTITIES[terms[0].quantity.name].unit != "yes" and (sign := self._take_if("+", "-")):
            terms.append(self._term(-1 if sign == "-" else 1))
        units = {QUANTITIES[term.quantity.name].unit for term in terms}
        if len(units) > 1:
            self._fail(f"{Sum(tuple(terms))} adds {' and '.join(sorted(units))}")
        if units == {"deg"} and (len(terms) > 1 or terms[0].factor != 1):
            self._fail("an angle stands alone: it is not added or multiplied")
        return Sum(tuple(terms))

    def _term(self, sign: int) -> Term:
        negative = -1 if self._take_if("-") else 1
        factor = 1.0
        if self._next[0] == "number":
            factor = float(self._take())
            self._expect("*", "between a number and a quantity")
            if not factor:
                self._fail("a factor of 0")
        elif negative < 0:
            self._fail("after '-' comes a number")
        return Term(sign * negative * factor, self._quantity())

    def _quantity(self) -> Quantity:
        beats = None
        if self._next[1] in BEATS:
            beats = self._take()
            self._expect(".", f"after {beats!r}, a class of beats")
        if self._next[1] not in QUANTITIES:
            self._unknown("quantity", [*QUANTITIES, *NAMED])
        name = self._take()
        if not self._take_if("("):
            return Quantity(name, None, beats)
        if not QUANTITIES[name].by_lead:
            self._fail(f"{name} is of the whole ECG, not of a lead")
        if self._next[1] not in LEADS:
            self._unknown("lead", LEADS)
        lead = self._take()
        self._expect(")", f"after {name}({lead}")
        return Quantity(name, lead, beats)

    def _whole_number(self) -> int:
        text = self._next[1]
        if self._next[0] != "number" or "." in text:
            self._fail("a whole number is missing")
        return int(self._take())

    def _unknown(self, what: str, names: Iterable[str], wanted: str = "") -> NoReturn:
        kind, text = self._next
        if kind == "end" or text in WORDS or kind in ("sign", "number", "unit"):
            self._fail(f"{wanted or f'a {what}'} is missing")
        near = get_close_matches(text, list(names), n=2, cutoff=0.6)
        near = near or [name for name in names if name.lower() == text.lower()]
        raise EcgclipError(f"unknown {what} {text!r}" + (f"; did you mean {' or '.join(near)}?" if near else ""))


def _tokens(text: str) -> list[tuple[str, str]]:
    """Kind and text of each token."""
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise EcgclipError(f"cannot be read from {text[at : at + 20].strip()!r} on")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return tokens


def _unit(value: Sum) -> str:
    return QUANTITIES[value.terms[0].quantity.name].unit


def _typed(value: Sum) -> str:
    return QUANTITIES[value.terms[0].quantity.name].typed_unit


def _one_lead(value: Sum) -> bool:
    """Whether a sum is of one lead, named or to be named."""
    leads = {term.quantity.lead for term in value.terms if QUANTITIES[term.quantity.name].by_lead}
    return len(leads) == 1
