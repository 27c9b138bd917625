"""The English and German words between conditions: denials, joints, hedges, and what frames a condition."""

from __future__ import annotations

import re

# The phrases of each kind. A "plain not" may stand in the middle of what it denies ("rhythm not regular").
PHRASES = {
    "end": "; | but | but with | however | aber | aber mit | jedoch | sondern",
    "comma": ",",
    "and": "& | + | and | plus | as well as | und | sowie",
    "or": "or | and/or | nor | oder | und/oder | bzw | beziehungsweise",
    # only after a denial: "noch normal" says that it still is
    "nor": "noch",
    "with": "with | and with | together with | mit | und mit | zusammen mit | bei",
    "plain not": "not | nicht",
    "not": (
        "no | without | and without | but without | but not | w/o | neither | nothing"
        " | absence of | absent | lack of | free of | free from | negative for | not present | not seen | not detected"
        " | ruled out | excluded | exclusion of | excluding | minus | instead of | rather than | as opposed to"
        " | kein | keine | keinen | keiner | keinem | keines | keinerlei"
        " | ohne | und ohne | aber ohne | aber nicht | weder | nichts"
        " | ausschluss | ausschluss von | ausschluss eines | ausschluss einer | ausgeschlossen | frei von"
        " | fehlen | fehlen von | fehlen eines | fehlen einer | fehlende | fehlender | fehlendes | fehlenden | fehlt"
        " | nicht nachweisbar | nicht vorhanden | nicht erkennbar | statt | anstatt | anstelle von"
    ),
}
KIND_OF_PHRASE = {tuple(phrase.split()): kind for kind, phrases in PHRASES.items() for phrase in phrases.split(" | ")}
LONGEST_PHRASE = max(map(len, KIND_OF_PHRASE))  # words
DENIALS = ("not", "plain not")
SIGNS = set(";,&+")
# names use the English words: "LVH mit Strain" is "LVH with Strain"
ENGLISH_JOINTS = {"mit": "with", "ohne": "without", "und": "and", "oder": "or"}

EVIDENCE = (
    r"evidence|signs?|indications?|suspicion|hints?"
    r"|hinweise?n?|anhalt|anhaltspunkte?|zeichen|anzeichen|nachweise?|verdacht"
)
# a condition that is in doubt is asked for like any other
HEDGES = (
    r"possibl[ey]|probabl[ey]|likely|suspected|suspicious|suspicion|questionable|consider|borderline|cannot rule out"
    r"|suggests?|suggestive|suggesting|consistent|compatible"
    r"|v\.?a\.?|verdacht|verdächtig|mögliche?[nrs]?|möglicherweise|wahrscheinliche?[nrs]?|fragliche?[nrs]?"
    r"|vermutete?[nrs]?|vermutliche?[nrs]?|vereinbar|passend"
)
HEDGED = re.compile(rf"\b(?:{HEDGES})(?!\w)", re.IGNORECASE)
# words that say nothing about the condition that they stand beside
FRAME = re.compile(
    "an?|the|any|this|that|of|in|on|for|to|there|is|are|was|were|has|have|having|does|do|did|shows?|showing"
    "|seen|present|detected|ecgs?|ekgs?|electrocardiogram|elektrokardiogramm|tracing|recording|records?|patients?"
    "|cases?|findings?|diagnosis|only|also|just|other|otherwise|further|definite|significant|relevant"
    "|der|die|das|des|den|dem|eine?|einen|einer|eines|im|auf|für|von|zu|ist|sind|hat|haben|zeigt|zeigen"
    "|besteht|bestehen|liegt|liegen|vor|patienten|aufzeichnung|befund|diagnose|gesichert|kann|können|werden"
    "|nachweisbar|vorhanden|erkennbar|nur|auch|sonst|ansonsten|weitere?[nrs]?|sicherer?[ns]?"
    f"|{EVIDENCE}|{HEDGES}",
    re.IGNORECASE,
)
# an abnormal ECG, whatever the finding ("no abnormality")
ABNORMALITY = re.compile(
    "(?:abnormalit(?:y|ies)|anomal(?:y|ies)|auffälligkeit(?:en)?|besonderheit(?:en)?|abnormalität(?:en)?)",
    re.IGNORECASE,
)
NEGATING_PREFIX = re.compile(r"^(?:non|nicht)[- ]", re.IGNORECASE)
DEGREE = re.compile(r"\d+|[IV]+")

NUMBER = r"[-+]?\d[\d.,]*(?:\s?(?:ms|msec|s|sec|/min|bpm|mV|mm|°|deg))?(?!\w)"
MORE = "more|above|over|higher|longer|greater|wider|faster|mehr|darüber|länger|höher|größer"
LESS = "less|below|under|lower|shorter|slower|weniger|darunter|kürzer|niedriger"
RHYTHMS = (
    r"\w*(?:rhythm(?:us)?|tachycardia|bradycardia|fibrillation|flutter|tachykardie|bradykardie|flimmern|flattern)"
    "|AF|SR|VT|SVT|VHF"
)
# of adjectives, typed with a full stop
ABBREVIATIONS = {
    "incompl": "incomplete", "compl": "complete", "ant": "anterior", "inf": "inferior", "lat": "lateral",
    "post": "posterior", "sept": "septal", "vent": "ventricular", "nonspec": "nonspecific",
    "inkompl": "inkompletter", "kompl": "kompletter", "unspez": "unspezifische", "ventr": "ventrikuläre",
    "intraventr": "intraventrikuläre", "supraventr": "supraventrikuläre", "neg": "negativ", "pos": "positiv",
}  # fmt: skip
_JOINTS = r"and|or|with|but|no|without|und|oder|mit|aber|ohne|kein\w*"
# Expressions of several words, and the phrases of PHRASES (or hedges) that say the same. The order matters.
_REWORDINGS = (
    (r"can['’]t\b", "can not"),
    # what the ECG may still show
    (r"(?<!\w)(?:z\.\s?n\.|zustand nach|s/p|st\.\s?p\.|status post)", ""),
    (r",?\s*\b(?:of )?(?:age[- ](?:undetermined|indeterminate|unknown)|(?:undetermined|indeterminate) age)\b", ""),
    (r",?\s*\bunbestimmten Alters\b", ""),
    (r"(?<!\w)w/(?=\s)", "with"),
    (r"\b(1st|2nd|3rd)[- ]degree AVB\b", r"\1 degree AV block"),
    *((rf"(?<!\w){short}\.", long) for short, long in ABBREVIATIONS.items()),
    # numbers, so that no joint divides them: see `knowledge.numbers`
    (rf"\bbetween\s+({NUMBER})\s+and\s+(?=[-+]?\d)", r"\1 to "),
    (rf"\bzwischen\s+({NUMBER})\s+und\s+(?=[-+]?\d)", r"\1 bis "),
    (rf"({NUMBER})\s+(?:or|oder|and|und)\s+(?:{MORE})(?!\w)", r"at least \1"),
    (rf"({NUMBER})\s+(?:or|oder|and|und)\s+(?:{LESS})(?!\w)", r"at most \1"),
    # "sinus rhythm 60/min" is a rhythm and a rate
    (rf"\b({RHYTHMS})\s+(?:at |of |mit |von |um |ca\.? ?)?(?=\d{{2,3}}\s*(?:/\s?min|bpm))", r"\1 with rate "),
    (r"(?<=\w)n['’]t\b", " not"),
    # what cannot be excluded may be there
    (
        r"\bcan ?not (?:\w+ )?(?:be )?(?:(?:ruled|rule) out|excluded?)\b|\bnot (?:\w+ )?(?:ruled out|excluded)\b",
        "possible",
    ),
    (
        r"\bnicht (?:\w+ )?(?:auszuschlie(?:ß|ss)end?\w*|auszuschlie(?:ß|ss)en|ausgeschlossen\w*)(?: werden)?",
        "possible",
    ),
    # "no definite evidence of" denies as "no" does
    (
        rf"\b(no|not|without|lacks?|absence of|nicht|kein\w*|ohne)\s+(?:(?!(?:{_JOINTS})\b)\w+\s+){{0,2}}"
        rf"(?:{EVIDENCE})\s+(?:of|for|to|auf|für|von|des|der|eine[rsnm]?)\b",
        r"\1",
    ),
    (r"\bnot (?:caused by|due to|because of|secondary to)\b", "without"),
    (r"\bnot only\b|\bnicht nur\b", ""),
    # "anything but AF" has no AF; "normal except for RBBB" has RBBB
    (
        r"\b(?:any|every)?(?:thing|all)\s+(?:but|except|other than)(?: for)?\b|\balles (?:außer|ausser|bis auf)\b",
        "no",
    ),
    (r"\b(?:except(?: for)?|apart from|aside from|other than|bis auf|abgesehen von|außer|ausser)\b", "with"),
    # "AF -LBBB"
    (r"(?<=[\w)]\s)(?<!and\s)(?<!und\s)(?<!or\s)(?<!oder\s)-(?=[^\W\d])", "without "),
    (r"(?<=\s)[-–](?=\s)", ","),
    (r"\b(?:rule out|r/o|c/w)(?!\w)", "possible"),
    (r"\bo\.\s?B\.?(?!\w)|\bohne (?:besonderen )?Befund\b", "normal"),
)
REWORDINGS = tuple((re.compile(pattern, re.IGNORECASE), phrase) for pattern, phrase in _REWORDINGS)
