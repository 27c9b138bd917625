"""Write docs/knowledge_words.md from the tables of the criteria's language:  python docs/make_knowledge.py"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ecgclip.knowledge.criteria.limits import LIMIT_KINDS, thresholds
from ecgclip.knowledge.criteria.named import BY_PLACE, NAMED
from ecgclip.knowledge.criteria.quantities import PLACES, QUANTITIES, QuantityKind, is_measured

PAGE = Path(__file__).with_name("knowledge_words.md")
INTRODUCTION = """# The words of the criteria

This page is written by `python docs/make_knowledge.py` from the tables of the package.
[Knowledge that measures](knowledge.md) explains the language.
± is the half-width of the zone around a threshold in which an answer is *borderline*.
"""
UNITS = {"yes": "yes or no", "lead": "number of a chest lead"}
# patients for whom a limit may differ
PATIENTS = {"women": (60.0, "female"), "men": (60.0, "male"), "men below 40 years": (30.0, "male")}


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([INTRODUCTION, *_quantities(), *_limits(), *_named(), *_places()]) + "\n"


def _quantities() -> Iterator[str]:
    for title, by_lead in (("Quantities of the whole ECG", False), ("Quantities of a lead", True)):
        yield f"## {title}\n\n| quantity | unit | ± | in words |\n| --- | --- | --- | --- |"
        for name, kind in QUANTITIES.items():
            if is_measured(name) and kind.by_lead == by_lead:
                words = " or ".join(kind.words.split("|"))
                yield f"| `{name}` | {_unit(kind)} | {f'{kind.half_width:g}' if kind.half_width else ''} | {words} |"
        yield ""
    yield "## Quantities that are not measured yet\n"
    yield "A test may name them. Its answer is *not measurable* unless the rest of the test decides.\n"
    new = {name: kind for name, kind in QUANTITIES.items() if not is_measured(name)}
    yield "| quantity | unit | of a lead |\n| --- | --- | --- |"
    yield from (f"| `{name}` | {_unit(kind)} | {'yes' if kind.by_lead else ''} |" for name, kind in new.items())
    yield ""


def _unit(kind: QuantityKind) -> str:
    return UNITS.get(kind.unit, kind.unit)


def _limits() -> Iterator[str]:
    yield "## Limits\n\n| limit | threshold ± half-width | unit |\n| --- | --- | --- |"
    for name, kind in LIMIT_KINDS.items():
        texts = []
        for leads in kind.rows:
            where = f" in {' '.join(leads)}" if leads else " in other leads" if kind.by_lead else ""
            texts.append(_threshold(name, leads[0] if leads else "I") + where)
        yield f"| `{name}` | {'; '.join(texts)} | {kind.unit} |"
    yield ""


def _threshold(name: str, lead: str) -> str:
    by_patient = {who: thresholds(name, lead, *patient)[0] for who, patient in PATIENTS.items()}
    texts = {who: f"{threshold:g} ± {half_width:g}" for who, (threshold, half_width) in by_patient.items()}
    if len(set(texts.values())) == 1:
        return texts["men"]
    if texts["men"] == texts["men below 40 years"]:
        del texts["men below 40 years"]
    return ", ".join(f"{who} {text}" for who, text in texts.items())


def _named() -> Iterator[str]:
    yield "## Named tests\n\n| name | test |\n| --- | --- |"
    yield from (f"| `{name}` | `{test}` |" for name, test in NAMED.items() if ":" not in name)
    yield "\nIn a territory, as in `st_elevation:inferior`: in two contiguous leads of it; upright T in all but one.\n"
    yield "| name | test of one lead |\n| --- | --- |"
    yield from (f"| `{name}:` | `{test}` |" for name, test in BY_PLACE.items())
    yield ""


def _places() -> Iterator[str]:
    yield "## Territories\n\n| name | leads |\n| --- | --- |"
    yield from (f"| `{name}` | {' '.join(leads)} |" for name, leads in PLACES.items() if len(leads) > 1)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
