"""A label that is a number is a test: "QTc > 500", "Frequenz unter 40", "ST elevation > 2 mm in V2".

    label ──places apart──▶ name, sign, number, unit ──▶ text of a test, in the quantity's unit ──parser──▶ Test

What cannot be read whole is no number: "PR 1", "1st degree", "2:1 block".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.knowledge.criteria.parser import parse_test
from ecgclip.knowledge.criteria.tree import Test

MAX_LENGTH = 120  # characters: a longer text is prose
MAX_SECONDS = 10  # a duration without unit below it is in seconds: no ECG interval is so few ms
MIN_MM = 0.5  # a level without unit from here on is in mm; below, as 0.2, in mV
ST_LEADS = "all"
# T is negative in aVR in health, and in V1 it may be
T_LEADS = "I II III aVL aVF V2 V3 V4 V5 V6"


@dataclass(frozen=True)
class _Kind:
    """A quantity as it is typed.

    Attributes
    ----------
    quantity
        As the language of the criteria calls it.
    unit
        Of the quantity: "ms", "mV", "/min", "deg", "%", "count".
    low, high
        What an ECG can have, in `unit`; a number outside is none of this quantity.
    near
        A number without a sign is met so far around it: two readers differ by about that much.
    places
        Where it holds if no lead is named; None if one must be named, "" if it is of the whole ECG.
    downward
        The number is the depth of what goes down: "ST depression > 1 mm" is ST < -0.1 mV.
    at_least
        A number without a sign is the least: "2 mm ST elevation", "pause of 3 s".
    bare
        Whether it may be without unit.
    """

    quantity: str
    unit: str
    low: float
    high: float
    near: float = 0.0
    places: str | None = ""
    downward: bool = False
    at_least: bool = False
    bare: bool = True


_KINDS = {
    "rate": _Kind("rate", "/min", 10, 400, 5),
    "atrial rate": _Kind("atrial_rate", "/min", 30, 700, 15),
    "RR": _Kind("RR", "ms", 150, 10_000, 50),
    "RR variation": _Kind("RR_variation", "%", 0.5, 200, 2, bare=False),
    "pause": _Kind("pause", "ms", 500, 60_000, at_least=True),
    "PR": _Kind("PR", "ms", 40, 800, 20),
    "QRS": _Kind("QRS", "ms", 30, 400, 10),
    "QT": _Kind("QT", "ms", 100, 950, 20),
    "QTc": _Kind("QTc", "ms", 100, 950, 20),
    "axis": _Kind("axis", "deg", -270, 270, 15),
    "P axis": _Kind("P_axis", "deg", -270, 270, 15),
    "P duration": _Kind("P_duration", "ms", 20, 300, 10),
    "P": _Kind("P", "mV", 0.01, 2, 0.03, "all of II", bare=False),
    "Q": _Kind("Q", "mV", 0.01, 5, 0.05, None, bare=False),
    "Q duration": _Kind("Q_ms", "ms", 5, 200, 8, None, bare=False),
    "R": _Kind("R", "mV", 0.01, 8, 0.1, None, bare=False),
    "S": _Kind("S", "mV", 0.01, 8, 0.1, None, bare=False),
    "R peak": _Kind("R_peak", "ms", 5, 200, 8, None),
    "QRS height": _Kind("QRS_height", "mV", 0.01, 15, 0.1, None, bare=False),
    "ST": _Kind("ST", "mV", -2, 2, 0.05, f"any of {ST_LEADS}"),
    "ST elevation": _Kind("ST", "mV", 0.01, 2, places=f"any of {ST_LEADS}", at_least=True),
    "ST depression": _Kind("ST", "mV", 0.01, 2, places=f"any of {ST_LEADS}", at_least=True, downward=True),
    "J": _Kind("J", "mV", 0.01, 2, places=f"any of {ST_LEADS}", at_least=True),
    "T": _Kind("T", "mV", -4, 4, 0.1, None, bare=False),
    "T height": _Kind("T", "mV", 0.01, 4, places=f"any of {T_LEADS}", at_least=True, bare=False),
    "T inversion": _Kind("T", "mV", 0.01, 4, places=f"any of {T_LEADS}", at_least=True, downward=True, bare=False),
    "PVC": _Kind("early_wide", "count", 0, 60, at_least=True),
    "PAC": _Kind("early_narrow", "count", 0, 60, at_least=True),
}
_LENGTH = r"(?:[- ]?(?:interval|duration|width|time|intervall|dauer|breite|zeit|strecke))?"
_HEIGHT = r"(?:[- ]?(?:height|amplitude|voltage|depth|h[öo]he|amplitude|tiefe))"
_WAVE = r"(?:[- ]?(?:waves?|zacken?|wellen?))?"
# patterns, compiled when the first label with a number is read: `re` keeps them
_NAMES = {
    "rate": r"(?:(?:heart|ventricular|pulse|mean|average|sinus)[- ]?)*rate|hr|pulse|heartbeat|bradycardia|tachycardia"
    r"|(?:herz|kammer|puls|ventrikel|sinus)?[- ]?frequenz|hf|puls|bradykardie|tachykardie|ventrikelrate",
    "atrial rate": r"(?:atrial|flutter|p wave)[- ]rate|(?:vorhof|flatter|p-wellen-)frequenz",
    "RR": r"r-?r(?:[- ]?(?:interval|cycle|abst[aä]nde?|intervall))?s?|cycle length|zyklusl[aä]nge",
    "RR variation": r"r-?r[- ]?(?:interval )?(?:variation|variability|variabilit[aä]t)",
    "pause": r"(?:longest |sinus |l[aä]ngste )?(?:pauses?|pausen|sinuspausen?)",
    "PR": rf"p[rq]{_LENGTH}|[uü]berleitungszeit|av-?[uü]berleitung",
    "QRS": rf"qrsd|qrs(?:[- ]?(?:complex|komplex))?(?:es|e)?{_LENGTH}|kammerkomplex",
    "QT": rf"qt{_LENGTH}",
    "QTc": rf"qtcf?{_LENGTH}|corrected qt{_LENGTH}|(?:frequenz)?korrigierte[sr]? qt{_LENGTH}",
    "axis": r"(?:(?:mean |frontal |electrical |cardiac |heart |frontale |elektrische )*(?:qrs[- ]?)?(?:axis|achse))"
    r"|herzachse|lagetyp",
    "P axis": r"p(?:[- ]wave)?[- ](?:axis|achse)",
    "P duration": r"p(?:[- ]?(?:wave|wellen?))?[- ]?(?:duration|width|dauer|breite)",
    "P": rf"p{_WAVE}{_HEIGHT}?",
    "Q": rf"q{_WAVE}{_HEIGHT}?",
    "Q duration": rf"q{_WAVE}(?:[- ]?(?:duration|width|dauer|breite))?",
    "R": rf"r{_WAVE}{_HEIGHT}?",
    "S": rf"s{_WAVE}{_HEIGHT}?",
    "R peak": r"r[- ]?(?:wave )?peak time|rwpt|intrinsicoid deflection|vat|oup|oberer umschlagspunkt",
    "QRS height": rf"qrs(?:[- ]?(?:complex|komplex))?{_HEIGHT}|(?:qrs[- ])?voltage",
    "ST": r"st[- ]?(?:segment|level|strecke|niveau)?",
    "ST elevation": r"ste|st[- ]?(?:segment[- ]|strecken-?)?(?:elevations?|hebung(?:en)?)",
    "ST depression": r"std|st[- ]?(?:segment[- ]|strecken-?)?(?:depressions?|senkung(?:en)?)",
    "J": r"j[- ]?(?:point|punkt)(?:[- ]?(?:elevation|hebung))?",
    "T": rf"t{_WAVE}",
    "T height": rf"t{_WAVE}{_HEIGHT}",
    "T inversion": rf"twi|t{_WAVE}[- ]?(?:inversions?|negativierung(?:en)?)|inverted t(?: waves?)?|negatives? t",
    "PVC": r"pvcs?|vpbs?|ves|premature ventricular (?:contractions|complexes|beats)|ventrikul[aä]re extrasystolen",
    "PAC": r"pacs?|apbs?|sves|premature atrial (?:contractions|complexes|beats)|supraventrikul[aä]re extrasystolen",
}
# The unit as it is typed → the quantity's unit, and the factor to it
_UNITS = {
    r"ms|msec|msecs|milliseconds?|millisekunden?": ("ms", 1.0),
    r"s|sec|secs|seconds?|sek|sekunden?": ("ms", 1000.0),
    r"mv|millivolts?": ("mV", 1.0),
    r"[uµμ]v|microvolts?|mikrovolt": ("mV", 0.001),
    r"mm|millimet(?:er|re)s?": ("mV", 0.1),
    r"bpm|beats?(?: per |/)min(?:ute)?|(?:1|x)?/ ?min(?:ute)?|per min(?:ute)?|min-1|schl[aä]ge(?: pro |/)min(?:ute)?"
    r"|pro min(?:ute)?": ("/min", 1.0),
    r"°|deg|degrees?|grad": ("deg", 1.0),
    r"%|percent|prozent": ("%", 1.0),
}
_ANY_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_NUMBER = r"[+-]?\d{1,5}(?:\.\d{1,4})?"
# Signs in words; a denied one is the opposite
_ABOVE = (
    r"over|above|beyond|exceed(?:s|ing)|(?:great|larg|bigg|high|long|wid|tall|deep|fast|broad)er than|more than"
    r"|(?<!\w)(?:ue|ü)ber|oberhalb(?: von)?|(?:gr(?:ö|oe)(?:ß|ss)er|mehr|l(?:ä|ae)nger|breiter|h(?:ö|oe)her|tiefer"
    r"|schneller) als"
)
_BELOW = (
    r"under|below|(?:less|fewer) than|(?:small|low|short|slow|narrow)er than|unter|unterhalb(?: von)?"
    r"|(?:kleiner|weniger|k(?:ü|ue)rzer|schmaler|niedriger|langsamer) als"
)
_SIGNS = {
    r">=|=>|at least|minimum(?: of)?|min\.?|from|ab|mindestens|wenigstens|minimal": ">=",
    r"<=|=<|at most|maximum(?: of)?|up to|bis(?: zu)?|h(?:ö|oe)chstens|maximal": "<=",
    rf"(?:not|no|nicht) (?:{_ABOVE})": "<=",
    rf"(?:not|no|nicht) (?:{_BELOW})": ">=",
    rf">|{_ABOVE}": ">",
    rf"<|{_BELOW}": "<",
    r"=|~|≈|about|around|approximately|approx\.?|circa|ca\.?|etwa|ungef(?:ä|ae)hr|rund": "",
}
_ANY_SIGN = "|".join(_SIGNS)
_SUFFIXES = {
    r"\+|(?:or|and|oder|und) (?:more|above|over|higher|longer|greater|wider|faster|mehr|dar(?:ü|ue)ber|l(?:ä|ae)nger"
    r"|h(?:ö|oe)her|gr(?:ö|oe)(?:ß|ss)er)": ">=",
    r"(?:or|and|oder|und) (?:less|below|under|lower|shorter|slower|fewer|weniger|darunter|k(?:ü|ue)rzer"
    r"|niedriger)": "<=",
}
_ANY_SUFFIX = "|".join(_SUFFIXES)
# Words that say the same as the number beside them, or nothing
_BEFORE = (
    r"(?:(?:the|an?|der|die|das|eine?|very|sehr|prolonged|long|longer|short|wide|broad|narrow|tall|deep|high|low|slow"
    r"|fast|verl(?:ä|ae)ngerte[srn]?|lange[srn]?|kurze[srn]?|verk(?:ü|ue)rzte[srn]?|breite[srn]?|schmale[srn]?"
    r"|hohe[srn]?|tiefe[srn]?|with|mit) )*"
)
_BETWEEN_WORDS = (
    r"(?: ?:| (?:of|is|are|was|von|ist|sind|betr(?:ä|ae)gt|wide|long|tall|deep|breit|lang|hoch|tief)(?!\w))*"
)
_TO = r"-|to|and|bis|und"
_MAYBE_UNIT = rf"(?: ?(?P<u1>{_ANY_UNIT}))?"
_VALUE = rf"(?P<n1>{_NUMBER}){_MAYBE_UNIT}"
_RANGE = (
    rf"(?:between |zwischen |from |von )?(?P<n1>{_NUMBER})(?: ?(?P<u1>{_ANY_UNIT}))? ?(?:{_TO}) ?"
    rf"(?P<n2>{_NUMBER})(?: ?(?P<u2>{_ANY_UNIT}))?"
)
_SHAPES = (
    # QTc > 500 ms; QTc 500 ms or more
    rf"{_BEFORE}(?P<name>.+?){_BETWEEN_WORDS} ?(?P<sign>{_ANY_SIGN})? ?{_VALUE}(?: ?(?P<suffix>{_ANY_SUFFIX}))?",
    # QTc 480-500 ms
    rf"{_BEFORE}(?P<name>.+?){_BETWEEN_WORDS} ?{_RANGE}",
    # 120 ms <= QRS < 150 ms
    rf"{_VALUE} ?(?P<rising><=?) ?(?P<name>.+?) ?<=? ?(?P<n2>{_NUMBER})(?: ?(?P<u2>{_ANY_UNIT}))?",
    # > 3 s pause; 2 mm ST elevation
    rf"(?P<sign>{_ANY_SIGN})? ?(?P<n1>{_NUMBER})[ -]?(?P<u1>{_ANY_UNIT})(?: of)? (?P<name>.+)",
    # 10 PVCs
    rf"(?P<sign>{_ANY_SIGN})? ?(?P<n1>\d+) (?P<name>{_NAMES['PVC']}|{_NAMES['PAC']})",
)
_SPELLINGS = str.maketrans({"≥": ">=", "≤": "<=", "−": "-", "–": "-", "—": "-", "(": " ", ")": " ", "’": "'"})


def number_test(label: str) -> Test | None:
    """Read a label that compares a quantity with a number; None if it is anything else.

    A number without a sign is meant roughly, but for what is a finding by its size: a pause, ST elevation or premature
    beats of at least so much. A depth, as of ST depression, is typed as a positive number.

    Examples
    --------
    >>> for label in ("QTc > 500", "PR > 0,3 s", "ST elevation > 2 mm in V2", "QRS-Breite über 120 ms", "HR 120"):
    ...     print(number_test(label))
    QTc > 500 ms
    PR > 300 ms
    ST > 0.2 mV in all of V2
    QRS > 120 ms
    rate between 115 and 125 /min
    >>> number_test("1st degree AV block") is number_test("PR 1") is None
    True
    """
    if len(label) > MAX_LENGTH or not any(map(str.isdigit, label)):
        return None
    try:
        return next(map(parse_test, _readings(label)), None)
    except EcgclipError:
        return None


def _readings(label: str) -> Iterator[str]:
    """The texts of the tests that a label may be, in the language of the criteria."""
    text = re.sub(r"(?<=\d),(?=\d)", ".", label.translate(_SPELLINGS))
    text, places = _without_places(" ".join(text.split()).strip(" .!?"))
    if places is None:
        return
    text = text.casefold()
    for shape in _SHAPES:
        match = re.fullmatch(shape, text)
        for name in _kinds_called(match["name"]) if match else ():
            if match and (test := _test(_KINDS[name], match.groupdict(), places)):
                yield test


def _kinds_called(name: str) -> Iterator[str]:
    return (kind for kind, pattern in _NAMES.items() if re.fullmatch(pattern, name))


# ---------------------------------------------------------------------------------------------------------------------
# Numbers


def _test(kind: _Kind, found: dict[str, str | None], places: str) -> str | None:
    """The text of a test of this quantity; None if its unit, size or places do not fit."""
    unit = found.get("u1") or found.get("u2")
    typed = [(found[n], found.get(u) or unit) for n, u in (("n1", "u1"), ("n2", "u2")) if found.get(n)]
    numbers = [_value(kind, number or "", its_unit) for number, its_unit in typed]
    where = _where(kind, places)
    if where is None or any(number is None for number in numbers):
        return None
    values = [number for number in numbers if number is not None]
    if len(values) == 2:
        return f"{_between(kind, *values)}{where}"
    sign = _sign(found)
    if not sign and not kind.at_least:
        return f"{_between(kind, values[0] - kind.near, values[0] + kind.near)}{where}"
    sign, value = sign or ">=", values[0]
    if kind.downward:
        sign, value = sign.translate(str.maketrans("<>", "><")), -value
    return f"{kind.quantity} {sign} {_with_unit(kind, value)}{where}"


def _value(kind: _Kind, number: str, unit: str | None) -> float | None:
    """A number in the unit of its quantity; None if it cannot be one of it."""
    value = float(number)
    if unit:
        of, factor = next(meaning for pattern, meaning in _UNITS.items() if re.fullmatch(pattern, unit))
        if of != kind.unit:
            return None
        value *= factor
    elif not kind.bare or (kind.unit == "count" and value != int(value)):
        return None
    elif kind.unit == "ms" and value < MAX_SECONDS:
        value *= 1000
    elif kind.unit == "mV" and abs(value) >= MIN_MM:
        value /= 10
    value = round(value, 4)
    return value if kind.low <= value <= kind.high else None


def _sign(found: dict[str, str | None]) -> str:
    """One of >=, >, <=, <; "" if none was typed."""
    if suffix := found.get("suffix"):
        return next(sign for pattern, sign in _SUFFIXES.items() if re.fullmatch(pattern, suffix))
    typed = found.get("sign")
    return next(sign for pattern, sign in _SIGNS.items() if re.fullmatch(pattern, typed)) if typed else ""


def _between(kind: _Kind, first: float, second: float) -> str:
    low, high = sorted((first, second))
    if kind.unit == "deg" and high - low > 180:  # the shorter way round
        low, high = high, low
    if kind.downward:
        low, high = -high, -low
    return f"{kind.quantity} between {_digits(low)} and {_with_unit(kind, high)}"


def _with_unit(kind: _Kind, value: float) -> str:
    return _digits(value) if kind.unit == "count" else f"{_digits(value)} {kind.unit}"


def _digits(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


# ---------------------------------------------------------------------------------------------------------------------
# Places

_LEAD = r"(?:aVR|aVL|aVF|III|II|I|V[1-6])"
_LEADS_WORD = r"(?:leads?|ableitung(?:en)?)"
_LEAST = r"(?:at least |mindestens |the |den |der )?"
_HOW = r"(?:(?P<how>all|any|one|allen|einer)(?: of| von)? )?"
_COUNT = (
    r"(?:(?P<count>[2-6]|two|three|four|zwei|drei|vier) )?"
    r"(?P<contiguous>contiguous |adjacent |neighbou?ring |benachbarte[nr]? )?"
)
_TERRITORIES = r"inferior|antero-?septal|antero-?lateral|high[- ]lateral|hoch-?lateral|anterior|lateral|septal"
_PLACE_SHAPES = {
    "list": rf"{_LEAST}{_HOW}(?:{_LEADS_WORD} )?"
    rf"(?P<leads>{_LEAD}(?:(?:, ?| and | und | or | oder |/|&|-| to | bis | ){_LEAD})*)(?: {_LEADS_WORD})?",
    "number": rf"{_LEAST}{_COUNT}{_LEADS_WORD}",
    "any": rf"{_LEAST}(?:any|one|an?|irgendeiner|einer)(?: single| of the)? {_LEADS_WORD}",
    "all": rf"(?:all|allen)(?: of)?(?: the)? {_LEADS_WORD}",
    "half": r"(?:all |allen |the |den )*(?P<half>limb|chest|precordial|extremit(?:ä|ae)ten|brustwand)"
    rf"[ -]?{_LEADS_WORD}",
    "territory": rf"{_LEAST}{_COUNT}(?P<territory>{_TERRITORIES})(?:en)?(?: {_LEADS_WORD})?",
}
_ANY_PLACE = "|".join(re.sub(r"\?P<\w+>", "?:", shape) for shape in _PLACE_SHAPES.values())
# "in V2" wherever it stands; or a lead beside a wave: "V2 ST elevation", "S V1 > 2.4 mV"
_IN = rf"(?<![^\s])(?:in|im) (?P<place>{_ANY_PLACE})(?![\w-])"
_BESIDE = rf"^(?P<first>{_LEAD}) (?=[a-z])|(?<=[a-z]) (?P<second>{_LEAD})(?= ?(?:$|[<>=]))"
_NUMBERS = {"two": 2, "zwei": 2, "three": 3, "drei": 3, "four": 4, "vier": 4}
_CANONICAL = {lead.casefold(): lead for lead in LEADS}


def _without_places(text: str) -> tuple[str, str | None]:
    """The text without its place, and the place in the language of the criteria: "any of V1 V2".

    "" if none is named; None if it cannot be read.
    """
    match = re.search(_IN, text, re.IGNORECASE) or re.search(_BESIDE, text, re.IGNORECASE)
    if match is None:
        return text, ""
    named = " ".join(filter(None, match.groupdict().values())).strip()
    rest = " ".join(f"{text[: match.start()]} {text[match.end() :]}".split())
    return rest, _places(named)


def _places(named: str) -> str | None:
    for kind, shape in _PLACE_SHAPES.items():
        if match := re.fullmatch(shape, named, re.IGNORECASE):
            return _place(kind, match)
    return None


def _place(kind: str, match: re.Match[str]) -> str | None:
    if kind == "list":
        return _lead_list(match["leads"], match["how"])
    if kind == "half":
        return (
            "all of limb" if match["half"].casefold() in ("limb", "extremitäten", "extremitaeten") else "all of chest"
        )
    if kind == "any":
        return "any of all"
    if kind == "all":
        return "all of all"
    count = match["count"]
    number = _NUMBERS.get(count.casefold(), 0) or int(count) if count else 0
    if kind == "number":
        return f"{number or 2} {'contiguous ' * bool(match['contiguous'])}of all"
    name = re.sub("hoch-?|high[- ]", "high_", match["territory"].casefold()).replace("-", "")
    return f"{number or 2} contiguous of {name}"


def _lead_list(text: str, how: str | None) -> str | None:
    """ "V1-V3" and "V1, V2 and V3" are all of them, "V1 or V2" any of them; None for "I to aVF"."""
    leads: list[str] = []
    for joint, typed in re.findall(rf"(.*?)(?<![a-z])({_LEAD})(?![a-z])", text, re.IGNORECASE):
        lead = _CANONICAL[typed.casefold()]
        if joint.strip().casefold() in ("-", "to", "bis"):
            if not (leads[-1].startswith("V") and lead.startswith("V")):
                return None
            leads += LEADS[LEADS.index(leads[-1]) + 1 : LEADS.index(lead)]
        leads.append(lead)
    chosen = (how or "").casefold() in ("any", "one", "einer") or re.search(r" or | oder ", text, re.IGNORECASE)
    return f"{'any' if chosen else 'all'} of {' '.join(dict.fromkeys(leads))}"


def _where(kind: _Kind, places: str) -> str | None:
    """ " in any of V1 V2"; None if a lead is missing, or named for what is of the whole ECG."""
    if kind.places == "":
        return None if places else ""
    places = places or kind.places or ""
    return f" in {places}" if places else None
