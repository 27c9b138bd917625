"""Samples, numbers, dates and words as files spell them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

import numpy as np

from ecgclip.ecg import EcgclipError

MAX_AGE = 130  # years
_SEX = dict.fromkeys(("m", "male", "männlich", "homme", "hombre"), "male")
_SEX |= dict.fromkeys(("f", "female", "w", "weiblich", "femme", "mujer"), "female")
# Who read or signed an ECG often stands among the statements: "Confirmed by SMITH, JOHN (12) on 5/10/2021"
_SIGNED = re.compile(
    r"\b(?:(?:un)?confirmed|referred|requested|ordered|reviewed|signed|edited|interpreted|over-?read|read|verified|"
    r"validated|approved|reported|performed|befundet|bestätigt|validiert|freigegeben|confirmée?|validée?|signée?|"
    r"confirmado|firmado|confermato)\s+(?:electronically\s+)?(?:by|von|durch|par|por|da)\b"
    r"|\b(?:confirmed|reviewed|signed|edited|validated|verified|approved|over-?read|befundet|referred)\s*:"
    r"|\b(?:physician|technician|cardiologist|operator|arzt|médecin)\s*:|\bdr\b|,\s*m\.?d\b",
    re.IGNORECASE,
)
_NO_INTEGERS = re.compile(r"[^0-9\s+-]|[+-](?![0-9])")


def number(text: str | None) -> float | None:
    """A finite number, with a decimal point or comma; None for anything else."""
    try:
        value = float((text or "").strip().replace(",", "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def factor(text: str | None) -> float | None:
    """A number that samples can be multiplied by; None for anything else, 0 among it."""
    value = number(text)
    return value if value and 1e-9 < abs(value) < 1e9 else None


def samples(text: str | None, what: str) -> np.ndarray:
    """Numbers with blanks or commas between them, float32 (samples,).

    Raises
    ------
    EcgclipError
        One of them is no number; the message is "`what` holds …".
    """
    text = (text or "").strip()
    commas = text.rstrip(",").count(",")
    text = text.replace(",", " ").strip()
    if not text:
        return np.zeros(0, np.float32)
    if not _NO_INTEGERS.search(text):  # older NumPy returns what stands before an error
        values = np.fromstring(text, np.int64, sep=" ")  # many times faster than words
    else:
        try:
            values = np.array(text.split(), np.float64)
        except ValueError:
            raise EcgclipError(f"{what} holds a sample that is not a number") from None
    if commas and commas != len(values) - 1:
        raise EcgclipError(f"{what} holds {len(values)} samples with {commas} commas between them: some are missing")
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and later missing
        return values.astype(np.float32)


def moment(*parts: str | int | None) -> datetime | None:
    """Year, month, day and, where given, hour, minute and second; None where they are no date."""
    try:
        return datetime(*map(int, parts))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None


def age_at(time: datetime | None, birth: datetime | None) -> float | None:
    """Age in whole years, below two in fractions; None where it cannot be, as with the dates of an anonymised file."""
    if time is None or birth is None or birth.year <= 1900:
        return None
    years = time.year - birth.year - ((time.month, time.day) < (birth.month, birth.day))
    if not 0 <= years <= MAX_AGE:
        return None
    return float(years) if years >= 2 else round((time.date() - birth.date()).days / 365.25, 2)


def sex(text: str | None) -> str | None:
    """ "female" or "male"; None for anything else."""
    return _SEX.get((text or "").strip().lower())


def unsigned(lines: Iterable[str | None]) -> list[str]:
    """Statements without those that say who read, asked for or signed the ECG, each once."""
    return list(dict.fromkeys(line for line in lines if line and not _SIGNED.search(line)))
