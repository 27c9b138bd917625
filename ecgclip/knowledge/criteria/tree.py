"""The tree of a test. `str` of a node is text that reads as the same node again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Quantity:
    """A quantity, of one lead where `lead` is given, of a class of beats where `beats` is given."""

    name: str
    lead: str | None = None
    beats: str | None = None

    def __str__(self) -> str:
        return (f"{self.beats}." if self.beats else "") + self.name + (f"({self.lead})" if self.lead else "")


@dataclass(frozen=True)
class Term:
    """A quantity times a number."""

    factor: float
    quantity: Quantity

    def __str__(self) -> str:
        return str(self.quantity) if self.factor == 1 else f"{_digits(self.factor)} * {self.quantity}"


@dataclass(frozen=True)
class Sum:
    """Terms of one unit, added."""

    terms: tuple[Term, ...]

    def __str__(self) -> str:
        text = str(self.terms[0])
        for term in self.terms[1:]:
            sign = "-" if term.factor < 0 else "+"
            text += f" {sign} {Term(abs(term.factor), term.quantity)}"
        return text


@dataclass(frozen=True)
class Number:
    """A threshold; half_width is None where that of the quantity holds."""

    value: float
    unit: str = ""
    half_width: float | None = None

    def __str__(self) -> str:
        text = _digits(self.value) + (f" {self.unit}" if self.unit else "")
        return text if self.half_width is None else f"{text} ± {_digits(self.half_width)}"


@dataclass(frozen=True)
class Limit:
    """A threshold by its name."""

    name: str
    negative: bool = False

    def __str__(self) -> str:
        return ("-" if self.negative else "") + self.name


Bound: TypeAlias = Number | Limit


@dataclass(frozen=True)
class Compare:
    """left sign right; sign is one of >=, >, <=, <."""

    left: Sum
    sign: str
    right: Bound | Sum

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right}"


@dataclass(frozen=True)
class Between:
    """low <= value <= high."""

    value: Sum
    low: Bound
    high: Bound

    def __str__(self) -> str:
        return f"{self.value} between {self.low} and {self.high}"


@dataclass(frozen=True)
class Count:
    """Exactly so many."""

    value: Sum
    number: int

    def __str__(self) -> str:
        return f"{self.value} = {self.number}"


@dataclass(frozen=True)
class Fact:
    """A quantity that is yes or no."""

    quantity: Quantity

    def __str__(self) -> str:
        return str(self.quantity)


@dataclass(frozen=True)
class Named:
    """A test that has a name, such as regular."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Is:
    """Whether another condition holds by its own criteria."""

    concept: str

    def __str__(self) -> str:
        return f"is {self.concept}"


@dataclass(frozen=True)
class Not:
    """The opposite of a test."""

    test: Test

    def __str__(self) -> str:
        return f"not {_bracketed(self.test, (And, Or))}"


@dataclass(frozen=True)
class And:
    """All of the tests."""

    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return " and ".join(_bracketed(test, (And, Or)) for test in self.tests)


@dataclass(frozen=True)
class Or:
    """Any of the tests."""

    tests: tuple[Test, ...]

    def __str__(self) -> str:
        return " or ".join(_bracketed(test, (Or,)) for test in self.tests)


@dataclass(frozen=True)
class Where:
    """A test in several leads.

    Attributes
    ----------
    how
        "any", "all", "most", or in how many leads.
    contiguous
        Whether these leads must be contiguous.
    places
        Leads and territories, as written.
    """

    test: Test
    how: str | int
    contiguous: bool
    places: tuple[str, ...]

    def __str__(self) -> str:
        how = f"{self.how} contiguous of" if self.contiguous else f"{self.how} of"
        return f"{_bracketed(self.test, (And, Or, Not, Where))} in {how} {' '.join(self.places)}"


Test: TypeAlias = Compare | Between | Count | Fact | Named | Is | Not | And | Or | Where


def parts(test: Test) -> Iterator[Test]:
    """The test itself and every test within it."""
    yield test
    inner = test.tests if isinstance(test, And | Or) else (test.test,) if isinstance(test, Not | Where) else ()
    for part in inner:
        yield from parts(part)


def quantities(test: Test) -> Iterator[Quantity]:
    """Every quantity that a test names, those behind `Named` and `Is` left aside."""
    for part in parts(test):
        if isinstance(part, Fact):
            yield part.quantity
        sides = [part.left, part.right] if isinstance(part, Compare) else []
        sides += [part.value] if isinstance(part, Between | Count) else []
        for side in sides:
            if isinstance(side, Sum):
                yield from (term.quantity for term in side.terms)


def concepts(test: Test) -> set[str]:
    """Ids of the conditions that a test asks for."""
    return {part.concept for part in parts(test) if isinstance(part, Is)}


def _bracketed(test: Test, kinds: tuple[type, ...]) -> str:
    return f"({test})" if isinstance(test, kinds) else str(test)


def _digits(number: float) -> str:
    """A number without exponent, as the parser reads it."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
