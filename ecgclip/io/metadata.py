"""Age, sex, time and diagnoses as files spell them, in one form."""

from __future__ import annotations

import re
from datetime import datetime

_SEX = {"f": "female", "female": "female", "m": "male", "male": "male"}
_AGE = re.compile(r"([<>]?)\s*(\d+(?:[.,]\d+)?)[\s_-]*([a-z]*)\b", re.IGNORECASE)
# Spellings of a unit of age -> how many of it make a year
_UNITS_PER_YEAR = {
    r"|y|yrs?|yo|years?|j|jahre?|a": 1,
    r"m|mo|mos|mths?|mon|months?|monate?": 12,
    r"w|wks?|weeks?|wochen?": 52.18,
    r"d|days?|t|tage?": 365.25,
    r"h|hrs?|hours?|std|stunden?": 8766,
}
MAX_AGE = 130  # years
_MOMENT = re.compile(
    r"(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)(?:[T ]?(\d\d):?(\d\d)(?::?(\d\d)(?:[.,]\d+)?)?)?\s*(Z|[-+]\d\d:?\d\d)?"
)


def parse_comments(comments: list[str]) -> dict:
    """Read age, sex, diagnoses and all other fields from comment lines.

    The lines look like 'Age: 81', '<sex>: F' or MIT-BIH's '69 M 1085 1629 x1'.

    Returns
    -------
    dict
        age (years or None), sex ("female", "male" or None), comments (the lines themselves), dx (list of codes) and
        fields (lower-case name -> text).
    """
    fields: dict[str, str] = {}
    for line in comments:
        for key, value in re.findall(r"<(\w+)>:\s*([^<]*)", line) or re.findall(r"^([A-Za-z][\w ]*):\s*(.*)$", line):
            fields.setdefault(key.strip().lower(), value.strip())
    age, sex = fields.get("age", ""), fields.get("sex") or fields.get("gender") or ""
    compact = re.match(r"(\d{1,3}) ([MF])\b", comments[0]) if comments else None
    if compact and not age:
        age, sex = compact.groups()
    dx = [code.strip() for code in re.split(r"[,;]", fields.get("dx", "")) if code.strip()]
    return {"age": parse_age(age), "sex": _SEX.get(sex.lower()), "comments": comments, "dx": dx, "fields": fields}


def parse_age(text: str) -> float | None:
    """An age as files give it ("63", "063Y", "6 months", "3 Tage") in years; None where it or its unit is not clear."""
    parts = _AGE.match(re.sub(r"(?<=\d)\s+[MF]\b", "", text.strip()))  # the M of "45 M" is the sex
    if not parts:
        return None
    bound, number, unit = parts.groups()
    per_year = [count for spellings, count in _UNITS_PER_YEAR.items() if re.fullmatch(spellings, unit.lower())]
    if not per_year:
        return None
    years = float(number.replace(",", ".")) / per_year[0]
    if bound == "<" and number == "1":
        years /= 2  # "<1" is somewhere between birth and one
    return years if years <= MAX_AGE else None


def iso_time(text: str | None) -> str | None:
    """A moment as files give it ("20240101093000", "2024-01-01 09:30") in ISO 8601; a date where it has no time of day.

    None if it is none.
    """
    parts = _MOMENT.fullmatch((text or "").strip())
    if not parts:
        return None
    *numbers, zone = parts.groups()
    try:
        moment = datetime(*(int(number or 0) for number in numbers))  # type: ignore[arg-type]
    except ValueError:
        return None
    if numbers[3] is None:
        return moment.date().isoformat()
    return moment.isoformat() + ("" if zone is None else "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}")


def date_of(text: str | None) -> datetime | None:
    """A moment as files give it; None if it is none."""
    time = iso_time(text)
    return None if time is None else datetime.fromisoformat(time)
