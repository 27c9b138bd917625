"""What a test rests on: the named tests in it, and the quantities that are not measured yet."""

from __future__ import annotations

from typing import NamedTuple

from ecgclip.knowledge.criteria.judge import tree_of, tree_of_named
from ecgclip.knowledge.criteria.named import NAMED
from ecgclip.knowledge.criteria.quantities import is_measured
from ecgclip.knowledge.criteria.tree import Named, Test, parts, quantities


class DescribedTest(NamedTuple):
    """The named tests in a test with their meaning, and the quantities in it that are not measured yet."""

    named: dict[str, str]
    unmeasured: tuple[str, ...]


def describe_test(text: str) -> DescribedTest:
    """Describe a test.

    Raises
    ------
    EcgclipError
        If it is no test of the language.
    """
    tree = tree_of(text)
    named = {part.name: NAMED[part.name] for part in parts(tree) if isinstance(part, Named)}
    trees: list[Test] = [tree, *map(tree_of_named, named)]
    all_quantities = [quantity for each in trees for quantity in quantities(each)]
    missing = [q for q in all_quantities if not is_measured(q.name, q.beats)]
    return DescribedTest(named, tuple(dict.fromkeys(f"{q.beats}.{q.name}" if q.beats else q.name for q in missing)))
