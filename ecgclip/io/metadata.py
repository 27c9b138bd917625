"""Age, sex, time and diagnoses as files spell them, in one form; and metadata as comment lines, in and out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from ecgclip.io.values import MAX_AGE, moment, unsigned
from ecgclip.io.values import sex as sex_of

_AGE = re.compile(r"([<>]?)\s*(\d+(?:[.,]\d+)?)[\s_-]*([a-z]*)\b", re.IGNORECASE)
# Spellings of a unit of age -> how many of it make a year
_UNITS_PER_YEAR = {
    r"|y|yrs?|yo|years?|j|jahre?|a": 1,
    r"m|mo|mos|mths?|mon|months?|monate?": 12,
    r"w|wks?|weeks?|wochen?": 52.18,
    r"d|days?|t|tage?": 365.25,
    r"h|hrs?|hours?|std|stunden?": 8766,
}
MARK = "Written by ecgclip"  # the line above those that `stated` reads
_OURS = re.compile(r"(Time|Device|Statement|Measurement|Comment): +(.+)", re.DOTALL)  # as `comment_lines` writes them
_FIELD = re.compile(r"\s*(age|sex|dx|time|device|statement|measurement)\s*:", re.IGNORECASE)
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
        fields (lower-case name -> text); and where a line says them: time, device, statements, measurements.
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
    read = {"age": parse_age(age), "sex": sex_of(sex), "comments": comments, "dx": dx, "fields": fields}
    return {**stated(comments), **read}


def stated(lines: Iterable[str]) -> dict:
    """What lines of `comment_lines` say of time, device, statements, measurements and comments.

    Only those below the line MARK count, and no statement that says who signed: lines of other origin may name the
    patient, as in "Device: Ward 3, Mr Miller".
    """
    read: dict = {}
    lines = list(lines)
    below = lines[lines.index(MARK) + 1 :] if MARK in lines else []
    for name, text in (found.groups() for line in below if (found := _OURS.fullmatch(line))):
        if name in ("Statement", "Comment"):
            read.setdefault(name.lower() + "s", []).append(text)
        elif name == "Measurement":
            if number := re.fullmatch(r"(\w+) (-?\d+(?:\.\d+)?)", text):
                read.setdefault("measurements", {})[number[1]] = float(number[2])
        elif name != "Time" or re.match(r"\d{4}-\d\d-\d\d", text):
            read.setdefault(name.lower(), text)
    if "statements" in read:
        read["statements"] = unsigned(read["statements"])
    return {key: value for key, value in read.items() if value}


def comment_lines(metadata: dict, before_comments: str = "") -> list[str]:
    """The comments, the line MARK, and the metadata as lines that `parse_comments` reads. The patient's id has no line.

    With "Comment: " before the comments they stand below MARK, where `stated` finds them.
    """
    comments = [before_comments + text for text in free_comments(metadata)]
    lines = [MARK] if before_comments else [*comments, MARK]
    lines += [] if metadata.get("age") is None else [f"Age: {metadata['age']:g}"]
    lines += [f"Sex: {str(metadata['sex']).capitalize()}"] if metadata.get("sex") else []
    lines += [f"Dx: {','.join(metadata['dx'])}"] if metadata.get("dx") else []
    lines += [f"{key.capitalize()}: {metadata[key]}" for key in ("time", "device") if metadata.get(key)]
    lines += [f"Statement: {text}" for text in metadata.get("statements", ())]
    lines += [f"Measurement: {key} {value:.10g}" for key, value in metadata.get("measurements", {}).items()]
    lines += comments if before_comments else []
    return [" ".join("".join(c if c.isprintable() else " " for c in line).split()) for line in lines]


def free_comments(metadata: dict) -> list[str]:
    """Comments without MARK and the lines that say what metadata says in a field of its own, such as "Age: 63"."""
    fields = {key.removesuffix("s") for key, value in metadata.items() if value not in (None, "", [], {})}
    found = ((text, _FIELD.match(text)) for text in metadata.get("comments", ()) if text.strip() not in ("", MARK))
    return [text for text, field in found if not field or field[1].lower() not in fields]


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
    time = moment(*(number or 0 for number in numbers))
    if time is None:
        return None
    if numbers[3] is None:
        return time.date().isoformat()
    return time.isoformat() + ("" if zone is None else "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}")


def date_of(text: str | None) -> datetime | None:
    """A moment as files give it; None if it is none."""
    time = iso_time(text)
    return None if time is None else datetime.fromisoformat(time)
