"""Checks of a knowledge base: what is wrong with an entry, and in which line of its file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.knowledge.concepts import CATEGORIES, LANGUAGES
from ecgclip.knowledge.spelling import normalise

TEXT_FIELDS = ("name", "definition", "definition_de")
LIST_FIELDS = ("report", "report_de", "negation", "negation_de", "sources", "broader", "lookalikes")
FILLED_FIELDS = ("report", "report_de", "criteria", "sources")
FIELDS = {"id", "category", "aliases", "codes", "criteria", *TEXT_FIELDS, *LIST_FIELDS}
OPTIONAL_FIELDS = {"explained_by", "excludes"}
CRITERION_FIELDS = {"text", "leads", "source"}
OPTIONAL_CRITERION_FIELDS = {"test", "role"}
MAX_CHAIN = 50  # conditions of which each asks for the next
ALWAYS = "always"  # what explains a criterion whatever is measured


class Problem(NamedTuple):
    """What is wrong, in one line, and where in the entry: keys and positions from its top."""

    words: str
    path: tuple[str | int, ...] = ()


def problems(entry: Any, file_stem: str, ids: Collection[str], source_keys: Collection[str]) -> list[Problem]:
    """Check one concept's entry.

    Parameters
    ----------
    entry
        The content of its YAML file.
    file_stem
        The file's name without ".yaml".
    ids
        Ids of all concepts.
    source_keys
        Keys of all sources.

    Returns
    -------
    list of Problem
        The first one where a field is wrong; else all of the criteria's tests and roles. Empty if there is none.
    """
    if first := next(_field_problems(entry, file_stem, ids, source_keys), None):
        return [first]
    return [*_criteria_problems(entry["criteria"], ids), *_explanation_problems(entry.get("explained_by", {}), ids)]


def circles(entries: Mapping[str, Any]) -> list[list[str]]:
    """Conditions that ask for one another in a circle by "is", each circle once; entries by id, all of them sound.

    Raises
    ------
    EcgclipError
        If more than `MAX_CHAIN` conditions ask for one another in a row.
    """
    asks = {key: sorted(_asked(entry) & entries.keys()) for key, entry in entries.items()}
    found: list[list[str]] = []
    finished: set[str] = set()

    def visit(key: str, path: list[str]) -> None:
        if key in path:
            found.append([*path[path.index(key) :], key])
        elif len(path) > MAX_CHAIN:
            raise EcgclipError(f"{key}.yaml: more than {MAX_CHAIN} conditions ask for one another in a row")
        elif key not in finished:
            for asked in asks[key]:
                visit(asked, [*path, key])
            finished.add(key)

    for key in asks:
        visit(key, [])
    return found


def exclusion_problems(entries: Mapping[str, Any]) -> Iterator[tuple[str, Problem]]:
    """Conditions that exclude what they are a kind of; entries by id, all of them sound."""

    def lineage(key: str) -> set[str]:
        found: set[str] = set()
        pending = [key]
        while pending:
            if (key := pending.pop()) not in found:
                found.add(key)
                pending += entries[key]["broader"] if key in entries else []
        return found

    above = {key: lineage(key) for key in entries}
    for key, entry in entries.items():
        for other in entry.get("excludes", []):
            if both := sorted(each for each, kinds in above.items() if {key, other} <= kinds):
                words = f"excludes {other!r}, and {both[0]} is a kind of both"
                yield key, Problem(words, ("excludes",))


def line_of(content: bytes, path: tuple[str | int, ...]) -> int | None:
    """The line, from 1, of a place in a YAML text; None if it is not there."""
    import yaml

    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
        line = 1
        for key in path:
            if isinstance(key, int):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                name, node = next(pair for pair in node.value if pair[0].value == key)
                line = name.start_mark.line + 1
    except (yaml.YAMLError, LookupError, StopIteration, AttributeError, TypeError):
        return None
    return line


def place(path: Path, line: int | None) -> str:
    """A file and a line, as an error begins with it."""
    return f"{path}:{line}" if line else str(path)


# ---------------------------------------------------------------------------------------------------------------------
# Fields


def _field_problems(
    entry: Any, file_stem: str, ids: Collection[str], source_keys: Collection[str]
) -> Iterator[Problem]:
    """Each check relies on those before it: after a problem, ask for no other."""
    if not isinstance(entry, dict):
        yield Problem("not a mapping of fields")
    yield from _name_problems(entry, file_stem)
    yield from _type_problems(entry)
    yield from _alias_and_code_problems(entry["aliases"], entry["codes"])
    for i, criterion in enumerate(entry["criteria"]):
        yield from _criterion_problems(criterion, ("criteria", i), source_keys)
    if not isinstance(entry.get("explained_by", {}), dict):
        yield Problem("explained_by is not a mapping of conditions to tests", ("explained_by",))
    if unknown := set(entry["sources"]) - set(source_keys):
        yield Problem(f"unknown sources {sorted(unknown)}", ("sources",))
    if unknown := {*entry["broader"], *entry["lookalikes"]} - set(ids):
        field = "broader" if unknown & set(entry["broader"]) else "lookalikes"
        yield Problem(f"broader or lookalikes name unknown concepts {sorted(unknown)}", (field,))
    yield from _exclusion_problems(entry.get("excludes", []), ids)


def _exclusion_problems(excludes: Any, ids: Collection[str]) -> Iterator[Problem]:
    if not isinstance(excludes, list) or not all(isinstance(x, str) for x in excludes):
        yield Problem("excludes is not a list of conditions", ("excludes",))
    if unknown := set(excludes) - set(ids):
        yield Problem(f"excludes names unknown concepts {sorted(unknown)}", ("excludes",))


def _name_problems(entry: dict[str, Any], file_stem: str) -> Iterator[Problem]:
    if missing := FIELDS - entry.keys():
        yield Problem(f"missing {', '.join(sorted(missing))}")
    if extra := [str(key) for key in entry if key not in FIELDS | OPTIONAL_FIELDS]:
        yield Problem(f"unknown field {', '.join(sorted(extra))}", (extra[0],))
    if entry["id"] != file_stem:
        yield Problem(f"id {entry['id']!r} is not the file's name", ("id",))
    if entry["category"] not in CATEGORIES:
        yield Problem(f"category {entry['category']!r} is none of {', '.join(CATEGORIES)}", ("category",))


def _type_problems(entry: dict[str, Any]) -> Iterator[Problem]:
    for field in TEXT_FIELDS:
        if not isinstance(entry[field], str) or not entry[field].strip():
            yield Problem(f"{field} is not a text", (field,))
    for field in LIST_FIELDS:
        if not isinstance(entry[field], list) or not all(isinstance(x, str) and x.strip() for x in entry[field]):
            yield Problem(f"{field} is not a list of texts", (field,))
    for field in FILLED_FIELDS:
        if not (entry[field] and isinstance(entry[field], list)):
            yield Problem("an empty report, criteria or sources", (field,))


def _alias_and_code_problems(aliases: Any, codes: Any) -> Iterator[Problem]:
    if not isinstance(aliases, dict) or not all(
        language in LANGUAGES
        and isinstance(spellings, list)
        and all(isinstance(spelling, str) and normalise(spelling) for spelling in spellings)
        for language, spellings in aliases.items()
    ):
        yield Problem("aliases is not {en: [texts], de: [texts]} (quote numbers and yes/no)", ("aliases",))
    if not isinstance(codes, dict) or not isinstance(codes.get("scp", ""), str):
        yield Problem("codes is not a mapping such as {scp: AFIB, snomed: [...]}", ("codes",))
    snomed = codes.get("snomed", [])
    if not isinstance(snomed, list) or not all(isinstance(code, str) and code.isdigit() for code in snomed):
        yield Problem("codes.snomed is not a list of quoted numbers", ("codes",))
    for system in ("aha", "icd10"):
        listed = codes.get(system, [])
        if not all(isinstance(code, str) and code for code in (listed if isinstance(listed, list) else [listed])):
            yield Problem(f"codes.{system} is neither a quoted code nor a list of them", ("codes",))


def _criterion_problems(criterion: Any, path: tuple[str | int, ...], source_keys: Collection[str]) -> Iterator[Problem]:
    if not isinstance(criterion, dict) or criterion.keys() - OPTIONAL_CRITERION_FIELDS != CRITERION_FIELDS:
        yield Problem("a criterion needs exactly text, leads and source, and may have test and role", path)
    if not isinstance(criterion["text"], str) or not isinstance(criterion["leads"], list):
        yield Problem("a criterion's text is no text or its leads no list", path)
    if unknown := {str(lead) for lead in criterion["leads"]} - {*LEADS, "all"}:
        yield Problem(f"criterion {criterion['text']!r} names unknown leads {sorted(unknown)}", (*path, "leads"))
    if not isinstance(criterion["source"], str) or criterion["source"] not in source_keys:
        words = f"criterion {criterion['text']!r} has an unknown source {criterion['source']!r}"
        yield Problem(words, (*path, "source"))


# ---------------------------------------------------------------------------------------------------------------------
# Tests and roles


def _criteria_problems(criteria: list[dict[str, Any]], ids: Collection[str]) -> Iterator[Problem]:
    from ecgclip.knowledge.criteria.roles import parse_role

    groups: dict[str, tuple[int, int]] = {}  # name -> how many are needed, how many there are
    for i, criterion in enumerate(criteria):
        path = ("criteria", i)
        if "test" in criterion:
            yield from _test_problems(criterion["test"], (*path, "test"), ids)
        try:
            role = parse_role(criterion.get("role"))
        except EcgclipError as error:
            yield Problem(str(error), (*path, "role"))
            continue
        if role.kind == "group":
            needed, members = groups.get(role.group, (role.number, 0))
            if needed != role.number:
                yield Problem(f"of {role.group!r}, once {needed} and once {role.number} are needed", (*path, "role"))
            groups[role.group] = needed, members + 1
    for group, (needed, members) in groups.items():
        if needed > members:
            yield Problem(f"{needed} of {group!r} are needed, and it has {members}", ("criteria",))


def _test_problems(test: Any, path: tuple[str | int, ...], ids: Collection[str]) -> Iterator[Problem]:
    from ecgclip.knowledge.criteria.parser import parse_test
    from ecgclip.knowledge.criteria.tree import concepts

    try:
        unknown = concepts(parse_test(test)) - set(ids)
    except EcgclipError as error:
        yield Problem(f"test {str(test)[:80]!r}: {error}", path)
        return
    if unknown:
        yield Problem(f"test {test[:80]!r}: unknown condition {', '.join(sorted(unknown))}", path)


def _explanation_problems(explained_by: dict[Any, Any], ids: Collection[str]) -> Iterator[Problem]:
    for concept, test in explained_by.items():
        path = ("explained_by", concept)
        if concept not in ids:
            yield Problem(f"explained_by names an unknown condition {concept!r}", path)
        if test != ALWAYS:
            yield from _test_problems(test, path, ids)


def _asked(entry: Mapping[str, Any]) -> set[str]:
    """Ids of the conditions that the tests of an entry ask for."""
    from ecgclip.knowledge.criteria.parser import parse_test
    from ecgclip.knowledge.criteria.tree import concepts

    tests = [criterion["test"] for criterion in entry["criteria"] if "test" in criterion]
    return set().union(*(concepts(parse_test(test)) for test in tests))
