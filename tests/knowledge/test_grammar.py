"""The parser of what a user types: conditions, denied or not, joined by and / or, in both languages."""

import doctest
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.knowledge import ellipsis, grammar, tokens
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.grammar import Condition, parse
from ecgclip.knowledge.vocabulary import PHRASES

KB = KnowledgeBase.load()


def said(text):
    """The tree as a line: "AF & !LBBB"."""

    def line(condition, top=False):
        if not condition.parts:
            return "!" * condition.denied + condition.text
        joined = (" | " if condition.any_of else " & ").join(map(line, condition.parts))
        return joined if top else f"({joined})"

    return line(parse(text, KB), top=True)


def same(pairs):
    """Cases of "typed -> meant", one a line; a long one is broken after the arrow."""
    lines = re.sub(r"->\s*\n\s*", "-> ", pairs.strip()).splitlines()
    return pytest.mark.parametrize("typed, meant", [line.strip().split(" -> ") for line in lines])


@same("""
    no infarction -> !infarction
    not normal -> !normal
    without atrial fibrillation -> !atrial fibrillation
    absence of LBBB -> !LBBB
    no evidence of AF -> !AF
    no sign of infarction or ischemia -> !infarction & !ischemia
    LBBB ruled out -> !LBBB
    LBBB not present -> !LBBB
    LBBB: no -> !LBBB
    free of ischemia -> !ischemia
    negative for AF -> !AF
    the ECG shows no LBBB -> !LBBB
    non-sinus rhythm -> !sinus rhythm
    rhythm not regular -> !rhythm regular
    kein Linksschenkelblock -> !Linksschenkelblock
    keine Ischämie -> !Ischämie
    EKG nicht normal -> !normal
    ohne Vorhofflimmern -> !Vorhofflimmern
    Ausschluss von Vorhofflimmern -> !Vorhofflimmern
    frei von Ischämie -> !Ischämie
    kein Hinweis auf Infarkt -> !Infarkt
    LSB nicht nachweisbar -> !LSB
    Nicht-Sinusrhythmus -> !Sinusrhythmus
""")
def test_a_denial(typed, meant):
    assert said(typed) == meant


@same("""
    no AF or flutter -> !AF & !flutter
    no AF, flutter or LBBB -> !AF & !flutter & !LBBB
    neither AF nor LBBB -> !AF & !LBBB
    weder AF noch LSB -> !AF & !LSB
    no AF, LBBB -> !AF & LBBB
    no AF but LBBB -> !AF & LBBB
    no AF with LBBB -> !AF & LBBB
    AF absent, LBBB -> !AF & LBBB
    LBBB, AF absent -> LBBB & !AF
    AF and no LBBB -> AF & !LBBB
    AF or no LBBB -> AF | !LBBB
    LBBB, rhythm not regular -> LBBB & !rhythm regular
    AF without LBBB -> AF & !LBBB
    AF (no LBBB) -> AF & !LBBB
    AF or flutter without LBBB -> (AF | flutter) & !LBBB
    Sinusrhythmus. Kein Linksschenkelblock. -> Sinusrhythmus & !Linksschenkelblock
    not without AF -> AF
    LBBB not without AF -> LBBB & AF
""")
def test_how_far_a_denial_reaches(typed, meant):
    assert said(typed) == meant


@same("""
    AF with LBBB -> AF & LBBB
    AF plus LBBB -> AF & LBBB
    AF + LBBB & RBBB -> AF & LBBB & RBBB
    AF, LBBB; RBBB -> AF & LBBB & RBBB
    Vorhofflimmern mit Linksschenkelblock -> Vorhofflimmern & Linksschenkelblock
    Sinusrhythmus sowie LSB und AV-Block -> Sinusrhythmus & LSB & AV-Block
    AF, RBBB or LBBB -> AF | RBBB | LBBB
    AF oder LSB -> AF | LSB
    AF and LBBB or RBBB -> (AF & LBBB) | RBBB
    AF with LBBB or RBBB -> AF & (LBBB | RBBB)
    patients with AF -> AF
    EKG mit Vorhofflimmern -> Vorhofflimmern
    noch normal -> noch normal
    QTc 0,5 s -> QTc 0,5 s
    ST elevation in II, III and aVF -> ST elevation in II, III and aVF
    infarction, anterior -> anterior infarction
    ST elevation, anterior -> ST elevation, anterior
""")
def test_conditions_and_alternatives(typed, meant):
    assert said(typed) == meant


@same("""
    left and right bundle branch block -> left bundle branch block & right bundle branch block
    no left or right bundle branch block -> !left bundle branch block & !right bundle branch block
    anterior, inferior and lateral infarction -> anterior infarction & inferior infarction & lateral infarction
    first or second degree AV block -> first degree AV block | second degree AV block
    ST elevation and depression -> ST elevation & ST depression
    AV-Block I und II -> AV-Block I & AV-Block II
    Links- und Rechtsschenkelblock -> Linksschenkelblock & Rechtsschenkelblock
    kein Vorder- oder Hinterwandinfarkt -> !Vorderwandinfarkt & !Hinterwandinfarkt
    kein Vorhofflimmern oder -flattern -> !Vorhofflimmern & !Vorhofflattern
""")
def test_what_conditions_share_is_written_out(typed, meant):
    assert said(typed) == meant


@same("""
    no definite evidence of MI -> !MI
    no ECG evidence of AF -> !AF
    without any evidence of AF -> !AF
    no clear evidence of AF or flutter -> !AF & !flutter
    no LBBB or signs of MI -> !LBBB & !MI
    kein sicherer Anhalt für einen Infarkt -> !Infarkt
    kein sicherer Hinweis auf AF -> !AF
    ohne Zeichen einer Ischämie -> !Ischämie
    ohne Hinweise auf Infarkt -> !Infarkt
    keine Anzeichen für AF -> !AF
    kein Verdacht auf Infarkt -> !Infarkt
    doesn't show AF -> !AF
    isn't AF -> !AF
    ECGs that do not show AF -> !AF
    Vorhofflimmern liegt nicht vor -> !Vorhofflimmern
    Vorhofflimmern besteht nicht -> !Vorhofflimmern
    LBBB not caused by pacing -> LBBB & !pacing
    ST elevation absent in V1 -> !ST elevation in V1
    nicht-STEMI -> non-STEMI
    AF instead of LBBB -> AF & !LBBB
    AF minus LBBB -> AF & !LBBB
    AF statt LSB -> AF & !LSB
    AF -LBBB -> AF & !LBBB
""")
def test_a_denial_in_more_words(typed, meant):
    assert said(typed) == meant


@same("""
    MI cannot be ruled out -> MI
    MI can not be excluded -> MI
    cannot exclude MI -> MI
    can't rule out MI -> MI
    Infarkt nicht auszuschließen -> Infarkt
    Infarkt nicht sicher auszuschließen -> Infarkt
    Infarkt kann nicht ausgeschlossen werden -> Infarkt
    possible left or right bundle branch block -> left bundle branch block | right bundle branch block
    suspected STEMI -> STEMI
    Verdacht auf Vorhofflimmern -> Vorhofflimmern
    V.a. Vorhofflimmern -> Vorhofflimmern
    fragliche Ischämie -> Ischämie
    consistent with AF -> AF
    AF möglich -> AF
""")
def test_what_is_in_doubt_is_asked_for(typed, meant):
    assert said(typed) == meant
    assert parse("possible AF", KB).hedged
    assert not parse("AF", KB).hedged


@same("""
    no abnormality -> !abnormal
    no other abnormalities -> !abnormal
    nothing abnormal -> !abnormal
    keine Auffälligkeiten -> !abnormal
    EKG o.B. -> normal
    EKG ohne Befund -> normal
    otherwise normal -> normal
    sonst unauffällig -> unauffällig
    no T wave abnormality -> !T wave abnormality
""")
def test_no_abnormality_is_a_normal_ecg(typed, meant):
    assert said(typed) == meant


@same("""
    normal except RBBB -> normal & RBBB
    normal except for RBBB -> normal & RBBB
    normales EKG bis auf RBBB -> normales EKG & RBBB
    anything but AF -> !AF
    all but AF -> !AF
    alles außer AF -> !AF
    not only AF but also LBBB -> AF & LBBB
    nicht nur AF, sondern auch LSB -> AF & LSB
    Sinus rhythm - LBBB -> Sinus rhythm & LBBB
""")
def test_exceptions(typed, meant):
    assert said(typed) == meant


@same("""
    LBBB/RBBB -> LBBB | RBBB
    no VT/VF -> !VT & !VF
    no ischaemia/infarction -> !ischaemia & !infarction
    left/right bundle branch block -> left bundle branch block | right bundle branch block
    AF/AFL -> AF/AFL
    no atrial fibrillation/flutter -> !atrial fibrillation/flutter
    ST/T change -> ST/T change
""")
def test_a_slash_between_names_is_or(typed, meant):
    assert said(typed) == meant


@same("""
    supraventricular and ventricular premature beats -> supraventricular premature beats & ventricular premature beats
    inferolateral and posterior STEMI -> inferolateral STEMI & posterior STEMI
    incomplete but not complete RBBB -> incomplete RBBB & !complete RBBB
    inkompletter, nicht kompletter Rechtsschenkelblock ->
        inkompletter Rechtsschenkelblock & !kompletter Rechtsschenkelblock
    infarction, anterior and inferior -> infarction & anterior infarction & inferior infarction
    Sinustachykardie oder -bradykardie -> Sinustachykardie | Sinusbradykardie
    ST- und T-Veränderungen -> ST-Veränderungen & T-Veränderungen
    A- and V-paced -> A-paced & V-paced
    AV block type 1 or 2 -> AV block type 1 | AV block type 2
    RBBB and left anterior or posterior fascicular block ->
        RBBB & (left anterior fascicular block | posterior fascicular block)
    LVH mit Strain -> LVH with Strain
""")
def test_a_word_that_only_narrows_is_never_asked_for_alone(typed, meant):
    assert said(typed) == meant


@pytest.mark.parametrize("denial", ["no", "kein", "without", "ohne", "not"])
def test_a_denial_before_any_name_denies_it(denial):
    """ "no NSTEMI" has the letters of "non-STEMI"."""
    names = {name for concept in KB.concepts.values() for name in concept.names}
    names -= {"pacemaker output failure"}  # "no pacemaker output" is a name
    asked = {name: parse(f"{denial} {name}", KB) for name in names}
    affirmed = {name for name, c in asked.items() if not (c.denied or c.parts or c.text == "abnormal")}
    assert affirmed == set()


@pytest.mark.parametrize("typed", ["no NSTEMI", "no nicht-STEMI", "kein nicht-STEMI"])
def test_what_is_no_st_elevation_infarction_can_be_denied(typed):
    assert said(typed).startswith("!")


def test_a_doubt_may_be_an_adjective():
    assert parse("nicht auszuschließender Infarkt", KB) == Condition("Infarkt", hedged=True)


def test_a_known_name_is_one_condition_whatever_words_are_in_it():
    for name in (p.text for p in KB.passages if p.kind in ("name", "alias")):
        assert parse(name, KB) == Condition(name)
    assert said("RBBB with LAFB without AF") == "RBBB with LAFB & !AF"
    assert said("kein EKG ohne pathologischen Befund") == "!EKG ohne pathologischen Befund"
    assert said("no atrial fibrillation or flutter") == "!atrial fibrillation or flutter"
    assert said("AF, AFL") == "AF & AFL", "a list, though AF/AFL is a name"


@pytest.mark.parametrize("module", [tokens, ellipsis, grammar])
def test_the_examples_in_the_docstrings_hold(module):
    results = doctest.testmod(module, extraglobs={"kb": KB, "lookup": KB.lookup})
    assert results.attempted
    assert not results.failed


def leaves(condition):
    return [leaf for part in condition.parts for leaf in leaves(part)] if condition.parts else [condition]


PIECES = [p for phrases in PHRASES.values() for p in phrases.split(" | ")]
PIECES += [
    "AF",
    "LBBB",
    "left",
    "Links-",
    "-flattern",
    "Rechtsschenkelblock",
    "in II, III",
    "(",
    ")",
    "ECG",
    ":",
    "xyz",
    "0,5",
]


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join)))
def test_any_text_is_understood_somehow(text):
    condition = parse(text, KB)
    assert condition == parse(text, KB)
    assert leaves(condition)
    assert all(leaf.text for leaf in leaves(condition)) or not text.strip()


NAMES = ["AF", "LBBB", "Hinterwandinfarkt", "sinus bradycardia", "RBBB with LAFB", "LVH", "Kammerflimmern", "WPW"]


@settings(deadline=None, max_examples=200)
@given(
    st.permutations(NAMES),
    st.lists(st.sampled_from([" and ", ", ", " oder ", " without ", " mit ", "; kein "]), min_size=8),
)
def test_conditions_keep_the_order_in_which_they_were_typed(names, joints):
    text = "".join(name + joint for name, joint in zip(names, joints, strict=False)) + "asystole"
    assert [leaf.text for leaf in leaves(parse(text, KB))] == [*names, "asystole"]
