"""What the lines before the numbers of a text file say: rate, unit, gain, leads, age and sex.

Names, dates of birth and numbers of patients may stand there too. The lines themselves are given on for what ecgclip
wrote; what else stands in them is not kept (`ecgclip.io.metadata.stated`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_PAIR = re.compile(r"^[\s#%/;'\"]*([^\W\d][^:=,;\t]{0,60}?)['\"]?\s*[:=,;\t]+\s*(.+?)[\s'\"]*$")
_RATE = re.compile(r"sampl|abtast|messrate|[eé]chantillon|muestr|amostra|campion|^fs$|^f_?s\b|^sfreq|^rate$", re.I)
_UNIT = re.compile(r"(units?|unitname|einheit(en)?|unit[eé]s?|unidad(es)?|unit[aà]|unidades?|eenheid|enhet)\b", re.I)
_LEADS = re.compile(r"(leads?|channels?|channeltitle|sig_?names?|ableitung(en)?|kan[aä]le|columns?)$", re.I)
_SEX = re.compile(r"(sex|gender|geschlecht|sexe|sexo|sesso)$", re.I)
_AGE = re.compile(r"(age|alter|[âa]ge|edad|idade|et[aà])\b", re.I)
_VOLT = r"(?P<unit>[nuµμm]?V)"
_STEPS = "lsb|bits?|adu|counts?|units?|digits?|steps?"
_STEP = re.compile(rf"(?P<n>\d+(?:\.\d+)?(?:e-?\d\d?)?)\s*{_VOLT}\s*(?:/|per)\s*(?:{_STEPS})", re.I)
_PER = re.compile(rf"(?P<n>\d+(?:\.\d+)?)\s*(?:{_STEPS})?\s*(?:/|per)\s*(?P<unit>mV|[uµμ]V)\b", re.I)
_GAIN = re.compile(r"(gain|adc_?gain|amplification|resolution|lsb|scale|verstärkung)\b", re.I)
# As BIOPAC and LabChart write it
_INTERVAL = re.compile(
    r"([\d.]+)\s*(msec|ms|s|sec)\s*/\s*sample|^interval=\s*([\d.]+)\s*(s)\b", re.I
)  # BIOPAC, LabChart
MAX_LINES = 300


def said_in(lines: Iterable[str]) -> dict[str, Any]:
    """What lines such as "# sampling_rate: 500 Hz" say.

    Returns
    -------
    dict
        Of fs (text), unit, leads, age and sex (texts) those that are there; scale, by which samples are multiplied; and
        comments, the lines themselves.
    """
    lines = list(lines)[:MAX_LINES]
    said: dict[str, Any] = {"comments": [line.strip(" #") for line in lines]}
    for line in lines:
        if '"' in line and (rate := re.search(r'"sampling rate":\s*(\d+(?:\.\d+)?)', line)):
            said.setdefault("fs", rate[1])
        line = line[:300]
        _add_gain(line, said)
        if interval := _INTERVAL.search(line):
            _add_interval(interval, said)
        if not (pair := _PAIR.match(line)):
            continue
        key, value = pair[1].strip(), pair[2]
        if _RATE.search(key) and (rate := re.match(r"\D{0,3}(\d+(?:[.,]\d+)?)\s*(k?)", value)):
            said.setdefault("fs", str(float(rate[1].replace(",", ".")) * (1000 if rate[2] else 1)))
        elif _UNIT.match(key):
            said.setdefault("unit", value.strip(" []()"))
        elif _LEADS.match(key):
            said.setdefault("leads", value)
        elif _AGE.match(key) and len(value) < 20:
            said.setdefault("age", value)
        elif _SEX.match(key) and len(value) < 12:
            said.setdefault("sex", value)
    return said


def _add_interval(found: re.Match, said: dict[str, Any]) -> None:
    try:
        seconds = float(found[1] or found[3]) * (1e-3 if (found[2] or "").lower().startswith("ms") else 1)
    except ValueError:
        return
    if seconds > 0:
        said.setdefault("fs", f"{1 / seconds:.9g}")


def _add_gain(line: str, said: dict[str, Any]) -> None:
    """A gain, as a step in µV or as steps in a mV; a bare number after "gain" is that of WFDB, steps in a mV."""
    if found := _STEP.search(line):
        said.setdefault("scale", float(found["n"]))
        said["unit"] = found["unit"]
    elif found := _PER.search(line):
        said.setdefault("scale", 1 / (float(found["n"]) or 1))
        said["unit"] = found["unit"]
    elif (pair := _PAIR.match(line)) and _GAIN.match(pair[1].strip()):
        if step := re.match(rf"(?P<n>\d+(?:\.\d+)?)\s*{_VOLT}\b", pair[2]):
            said.setdefault("scale", float(step["n"]))
            said["unit"] = step["unit"]
        elif pair[1].strip().lower() in ("gain", "adc_gain", "adcgain") and re.fullmatch(r"\d+(\.\d+)?", pair[2]):
            said.setdefault("scale", 1 / (float(pair[2]) or 1))
            said["unit"] = "mV"
