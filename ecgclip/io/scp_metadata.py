"""What an SCP-ECG file says of the patient, the recorder, and what the device measured and stated."""

from __future__ import annotations

import re
from datetime import datetime
from struct import unpack_from
from typing import Any

from ecgclip.io.values import MAX_AGE, age_at, unsigned

NOT_MEASURED = range(19999, 30000)
UNITS_PER_YEAR = {1: 1, 2: 12, 3: 52.18, 4: 365.25, 5: 8766}  # years, months, weeks, days, hours


def metadata_of(sections: dict[int, bytes]) -> dict[str, Any]:
    """The metadata of a recording, of its sections 1, 7 and 8; see `Recording`."""
    tags = _tags(sections.get(1, b""))
    day, clock = _date(tags.get(25, b"")), tags.get(26, b"")
    found: dict[str, Any] = {
        "age": _age(tags, day),
        "sex": {b"\1": "male", b"\2": "female"}.get(tags.get(8, b"")[:1]),
        "time": _time(day, clock),
        "device": _device(tags.get(14, b"")),
        "patient_id": _text(tags.get(2, b"")),
        "statements": unsigned(_statements(sections.get(8, b""))),
        "measurements": _measurements(sections.get(7, b"")),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _tags(section: bytes) -> dict[int, bytes]:
    """The fields of section 1, by number."""
    tags: dict[int, bytes] = {}
    place = 0
    while place + 3 <= len(section) and section[place] != 255:
        tag, length = unpack_from("<BH", section, place)
        tags.setdefault(tag, section[place + 3 : place + 3 + length])
        place += 3 + length
    return tags


def _age(tags: dict[int, bytes], day: datetime | None) -> float | None:
    """Years: as the file gives them, or from the date of birth."""
    if len(field := tags.get(4, b"")) >= 3:
        number, unit = unpack_from("<HB", field)
        years = number / UNITS_PER_YEAR[unit] if unit in UNITS_PER_YEAR else 0
        if 0 < years <= MAX_AGE:
            return years
    return age_at(day, _date(tags.get(5, b"")))


def _date(field: bytes) -> datetime | None:
    try:
        return datetime(*unpack_from("<HBB", field)) if len(field) >= 4 else None
    except ValueError:
        return None


def _time(day: datetime | None, clock: bytes) -> str | None:
    """When it was recorded, ISO 8601; the day alone where the time is not known."""
    if day is None:
        return None
    try:
        return day.replace(hour=clock[0], minute=clock[1], second=clock[2]).isoformat()
    except (ValueError, IndexError):
        return day.date().isoformat()


def _device(field: bytes) -> str | None:
    """Manufacturer and model, of the field that describes the recorder."""
    model, maker = _text(field[8:14]), ""
    if len(field) > 36:  # version of the analysis (its length before it), serial number, two programs, manufacturer
        texts = field[36 + field[35] :].split(b"\0")
        maker = _text(texts[3]) if len(texts) > 3 else ""
    return f"{maker} {model}".strip() or None


def _statements(section: bytes) -> list[str]:
    """The texts of section 8."""
    texts = []
    place = 9  # after whether it is confirmed, date, time and the number of statements
    for _ in range(section[8] if len(section) > 8 else 0):
        if place + 3 > len(section):
            break
        length = int.from_bytes(section[place + 1 : place + 3], "little")
        texts.append(_text(section[place + 3 : place + 3 + length]))
        place += 3 + length
    return [text for text in texts if text]


def _measurements(section: bytes) -> dict[str, float]:
    """What section 7 has of the first (the usual) type of beat."""
    if len(section) < 6:
        return {}
    beats, spikes, rr = unpack_from("<BBH", section)
    found: dict[str, float] = {}
    if beats and len(section) >= 22:
        p, _, qrs, qrs_end, t_end, *axes = unpack_from("<5H3h", section, 6)
        for name, begin, end in (("pr_ms", p, qrs), ("qrs_ms", qrs, qrs_end), ("qt_ms", qrs, t_end)):
            if begin < end and not {begin, end} & set(NOT_MEASURED):
                found[name] = float(end - begin)
        found |= {f"{w}_axis": float(a) for w, a in zip(("p", "qrs", "t"), axes, strict=True) if abs(a) <= 360}
    place = 6 + 16 * beats + 10 * spikes
    place += 2 + int.from_bytes(section[place : place + 2], "little")  # a byte for each beat
    ventricular, _, qtc = unpack_from("<3H", section, place) if place + 6 <= len(section) else (0, 0, 0)
    rate = ventricular if 0 < ventricular < 1000 else 60000 / rr if 100 < rr < 10000 else None
    found |= {"heart_rate": float(round(rate))} if rate else {}
    return found | ({"qtc_ms": float(qtc)} if 0 < qtc < 2000 else {})


def _text(field: bytes) -> str:
    """Text without what is behind its end, in one line."""
    field = field.split(b"\0")[0]
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
