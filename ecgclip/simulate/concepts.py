"""Which concepts of the knowledge base hold for a simulated ECG, by how it was made and by its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ecgclip.ecg import LEADS
from ecgclip.simulate.conditions import Condition
from ecgclip.simulate.patient import Patient

# Each concept with the broader ones that hold with it, as in the knowledge base.
BROADER_TABLE = """
accelerated-junctional-rhythm: junctional-rhythm
acute-myocardial-infarction: myocardial-infarction
anterior-ischemia: myocardial-ischemia st-t-change
anterior-myocardial-infarction: myocardial-infarction
anterior-stemi: stemi anterior-myocardial-infarction
anterolateral-ischemia: anterior-ischemia lateral-ischemia
anterolateral-myocardial-infarction: anterior-myocardial-infarction lateral-myocardial-infarction
anterolateral-subendocardial-injury: lateral-subendocardial-injury
anteroseptal-ischemia: anterior-ischemia
anteroseptal-myocardial-infarction: anterior-myocardial-infarction
anteroseptal-subendocardial-injury: subendocardial-injury
apical-hypertrophic-cardiomyopathy: hypertrophic-cardiomyopathy
arm-lead-reversal: limb-lead-reversal
atrial-bigeminy: bigeminy premature-atrial-contraction
atrial-fibrillation: atrial-fibrillation-or-flutter supraventricular-arrhythmia
atrial-fibrillation-or-flutter: supraventricular-arrhythmia
atrial-flutter: atrial-fibrillation-or-flutter supraventricular-arrhythmia
atrial-pacing: paced-rhythm
atrial-tachycardia: supraventricular-tachycardia supraventricular-arrhythmia
av-block: conduction-disturbance
avnrt: paroxysmal-supraventricular-tachycardia supraventricular-tachycardia
avrt: paroxysmal-supraventricular-tachycardia supraventricular-tachycardia
biatrial-enlargement: left-atrial-enlargement right-atrial-enlargement
bifascicular-block: right-bundle-branch-block
bigeminy: premature-complexes
blocked-premature-atrial-contraction: premature-atrial-contraction
bundle-branch-block: conduction-disturbance
complete-av-block: av-block
de-winter-pattern: acute-myocardial-infarction st-depression st-t-change
digitalis-effect: st-t-change
dual-chamber-pacing: paced-rhythm
ectopic-atrial-rhythm: supraventricular-arrhythmia
electrolyte-or-drug-effect: st-t-change
first-degree-av-block: av-block prolonged-pr-interval
fragmented-qrs: abnormal-qrs
fusion-of-paced-and-normal-beat: fusion-beat
high-grade-av-block: av-block
high-lateral-stemi: lateral-stemi
hyperacute-t-waves: t-wave-abnormality st-t-change
hypercalcemia: electrolyte-or-drug-effect
hyperkalemia: electrolyte-or-drug-effect
hypocalcemia: electrolyte-or-drug-effect
hypokalemia: electrolyte-or-drug-effect
hypomagnesemia: electrolyte-or-drug-effect
idioventricular-rhythm: bradycardia
incomplete-right-bundle-branch-block: bundle-branch-block
inferior-ischemia: myocardial-ischemia st-t-change
inferior-myocardial-infarction: myocardial-infarction
inferior-stemi: stemi inferior-myocardial-infarction
inferior-subendocardial-injury: subendocardial-injury
inferolateral-ischemia: inferior-ischemia lateral-ischemia
inferolateral-subendocardial-injury: inferior-subendocardial-injury lateral-subendocardial-injury
interatrial-block: conduction-disturbance
intraventricular-conduction-delay: conduction-disturbance
junctional-rhythm: supraventricular-arrhythmia
junctional-tachycardia: supraventricular-tachycardia
lateral-ischemia: myocardial-ischemia st-t-change
lateral-myocardial-infarction: myocardial-infarction
lateral-stemi: stemi lateral-myocardial-infarction
lateral-subendocardial-injury: subendocardial-injury
left-anterior-fascicular-block: conduction-disturbance
left-atrial-enlargement: hypertrophy
left-bundle-branch-block: bundle-branch-block
left-main-ischemia: myocardial-ischemia st-depression st-t-change
left-posterior-fascicular-block: conduction-disturbance
left-ventricular-hypertrophy: hypertrophy
left-ventricular-strain: left-ventricular-hypertrophy st-t-change
long-qt-syndrome: prolonged-qt-interval
low-t-wave-amplitude: t-wave-abnormality
mobitz-1-av-block: second-degree-av-block
mobitz-2-av-block: second-degree-av-block
multifocal-atrial-tachycardia: supraventricular-tachycardia
myocardial-ischemia: st-t-change
nodal-escape-beat: junctional-escape
nodal-premature-beat: premature-junctional-contraction supraventricular-premature-beat
non-st-elevation-acute-coronary-syndrome: acute-coronary-syndrome
nondiagnostic-t-abnormality: st-t-change
nonspecific-st-change: st-t-change
nonspecific-st-t-abnormality: st-t-change
nonspecific-t-change: t-wave-abnormality
nonsustained-ventricular-tachycardia: ventricular-tachycardia
nstemi: acute-myocardial-infarction non-st-elevation-acute-coronary-syndrome
old-myocardial-infarction: myocardial-infarction
paroxysmal-supraventricular-tachycardia: supraventricular-tachycardia
polymorphic-ventricular-tachycardia: ventricular-tachycardia
posterior-myocardial-infarction: myocardial-infarction
posterior-stemi: stemi posterior-myocardial-infarction
premature-atrial-contraction: premature-complexes
premature-junctional-contraction: premature-complexes
premature-ventricular-contraction: premature-complexes
prolonged-p-wave: p-wave-change
prolonged-qt-interval: st-t-change
r-wave-abnormal: abnormal-qrs
rapid-atrial-fibrillation: atrial-fibrillation tachycardia
right-atrial-enlargement: hypertrophy
right-bundle-branch-block: bundle-branch-block
right-ventricular-hypertrophy: hypertrophy
right-ventricular-infarction: myocardial-infarction
second-degree-av-block: av-block
septal-hypertrophy: hypertrophy
septal-myocardial-infarction: myocardial-infarction
sgarbossa-criteria-positive: acute-myocardial-infarction st-t-change
short-qt-syndrome: short-qt-interval
sinoatrial-block: sinus-node-dysfunction
sinus-arrest: sinus-node-dysfunction
sinus-arrhythmia: sinus-rhythm
sinus-bradycardia: sinus-rhythm bradycardia
sinus-tachycardia: sinus-rhythm tachycardia
slow-atrial-fibrillation: atrial-fibrillation bradycardia
stemi: acute-myocardial-infarction st-elevation
subendocardial-injury: myocardial-ischemia st-depression
supraventricular-premature-beat: premature-complexes
supraventricular-tachycardia: supraventricular-arrhythmia tachycardia
t-wave-abnormality: st-t-change
t-wave-inversion: t-wave-abnormality
tachycardia-bradycardia-syndrome: sinus-node-dysfunction
tall-p-wave: p-wave-change
tall-t-waves: t-wave-abnormality
torsades-de-pointes: polymorphic-ventricular-tachycardia
trifascicular-block: conduction-disturbance
trigeminy: premature-complexes
two-to-one-av-block: second-degree-av-block
ventricular-aneurysm: st-t-change
ventricular-bigeminy: bigeminy premature-ventricular-contraction
ventricular-couplet: premature-ventricular-contraction
ventricular-escape-rhythm: idioventricular-rhythm
ventricular-flutter: ventricular-tachycardia
ventricular-flutter-wave: ventricular-flutter
ventricular-pacing: paced-rhythm
ventricular-preexcitation: conduction-disturbance
ventricular-tachycardia: wide-complex-tachycardia
ventricular-trigeminy: trigeminy premature-ventricular-contraction
wandering-atrial-pacemaker: supraventricular-arrhythmia
wellens-syndrome: t-wave-abnormality st-t-change
wide-complex-tachycardia: tachycardia
wolff-parkinson-white: ventricular-preexcitation
"""
# Words without a limit, which an ECG may earn or not whatever it was made to show.
VAGUE = """
abnormal-qrs r-wave-abnormal p-wave-change clockwise-rotation counterclockwise-rotation fragmented-qrs
indeterminate-axis s1s2s3-pattern nonspecific-st-change nonspecific-t-change nonspecific-st-t-abnormality
nondiagnostic-t-abnormality st-t-change t-wave-abnormality low-t-wave-amplitude tall-t-waves u-wave fusion-beat
unclassifiable-beat sinus-arrhythmia normal-beat
"""
# Diseases that an abnormal ECG neither shows nor rules out.
DISEASES = """
arrhythmogenic-right-ventricular-cardiomyopathy athletes-heart cardiac-amyloidosis chronic-lung-disease-pattern cpvt
digitalis-effect digitalis-toxicity dilated-cardiomyopathy electrolyte-or-drug-effect hypertrophic-cardiomyopathy
apical-hypertrophic-cardiomyopathy septal-hypertrophy hypertrophy hypomagnesemia intracranial-hemorrhage
myocardial-ischemia myocarditis nstemi pericardial-effusion sinus-node-dysfunction sodium-channel-blocker-toxicity
tachycardia-bradycardia-syndrome takotsubo-cardiomyopathy vasospastic-angina poor-r-wave-progression
pathological-q-waves conduction-disturbance intraventricular-conduction-delay hyperacute-t-waves ventricular-aneurysm
early-repolarization acute-right-heart-strain supraventricular-arrhythmia irregular-rhythm
fusion-of-paced-and-normal-beat limb-lead-reversal precordial-lead-misplacement long-qt-syndrome short-qt-syndrome
"""
# Of the signal, not of the heart
TECHNICAL = ["poor-signal-quality", "baseline-wander", "muscle-artifact", "mains-interference", "flat-lead"]
LIMBS, CHEST = LEADS[:6], LEADS[6:]
NEIGHBOURS = [("I", "aVL"), ("II", "aVF"), ("III", "aVF"), *zip(CHEST, CHEST[1:], strict=False)]
PAUSE = 1.5  # cycles of the sinus node
YOUNG = 40  # years: younger men may have more ST elevation in V2 and V3 (Fourth Universal Definition, 2018)
WIDE_QRS = 120.0  # ms: ST and T of a wider complex follow from it, and so does a late turn to the right
FAST = 110.0  # beats a minute above which QT corrected for the rate says little
OF_SLOW_RATES = ("prolonged-qt-interval", "short-qt-interval")
OF_NARROW_QRS = ("st-elevation", "st-depression", "t-wave-inversion", "right-axis-deviation")


def what_holds(kind: Condition, patient: Patient, truth: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The ids that hold, broader ones included, and those that may hold, each in order of the alphabet."""
    made, may = set(kind.concepts.split()), set(kind.unknown.split())
    if _nothing_happened(kind, truth):
        may, made = may | made, set()
    measured = _measured(kind, patient, truth) if truth["heart_rate"] else {}
    found = {id for id, sure in measured.items() if sure}
    may |= set(measured) - found
    if kind.sinus:
        (found if 60 <= truth["atrial_rate"] <= 100 else may).add("sinus-rhythm")
    abnormal = (made | found) - {"normal-ecg", "sinus-rhythm"} - set(TECHNICAL)
    may |= set(VAGUE.split()) | set(DISEASES.split() if abnormal else ())
    if abnormal:
        found.add("abnormal-ecg")
        made -= {"normal-ecg"}
    elif "normal-ecg" not in made or set(measured) - found:
        may |= {"normal-ecg", "abnormal-ecg"}
        made -= {"normal-ecg"}
    holds = with_broader(made | found)
    return sorted(holds), sorted(with_broader(may) - holds)


def with_broader(ids: Iterable[str]) -> set[str]:
    """Concepts with all broader ones."""
    closed: set[str] = set()
    left = list(ids)
    while left:
        if (id := left.pop()) not in closed:
            closed.add(id)
            left += BROADER.get(id, [])
    return closed


BROADER = {line.split(": ")[0]: line.split(": ")[1].split() for line in BROADER_TABLE.strip().splitlines()}


def _nothing_happened(kind: Condition, truth: dict[str, Any]) -> bool:
    """Whether a short record shows usual beats only, of a condition that comes and goes."""
    cycles = np.diff(truth["p_onsets_s"])
    paused = len(cycles) > 1 and cycles.max() > PAUSE * np.median(cycles)
    usual = set(truth["beat_classes"]) <= {"usual"} and all(truth["p_conducted"])
    return kind.comes_and_goes and usual and not paused


def _measured(kind: Condition, patient: Patient, truth: dict[str, Any]) -> dict[str, bool]:
    """Concepts that are a number past a limit: True where it is clearly past, False where it is near the limit."""
    rate, axis = truth["heart_rate"], truth["axis_deg"]
    long_qt = 460 if patient.sex == "female" else 450
    rows = [
        ("tachycardia", rate - 100, 2.5),
        ("bradycardia", 60 - rate, 2.5),
        ("prolonged-qt-interval", patient.qtc - long_qt, 10),
        ("short-qt-interval", 370 - patient.qtc, 20),
        ("left-axis-deviation", -30 - axis if axis > -90 else -180, 5),
        ("right-axis-deviation", axis - 90, 5),
        ("extreme-axis-deviation", -90 - axis, 5),
        ("low-qrs-voltage", 1000 * (0.5 - max(_height(truth, lead) for lead in LIMBS)), 50),
        *_pr_rows(truth["pr_ms"]),
        *_sinus_rows(truth["atrial_rate"] if kind.sinus else None),
        *_repolarisation_rows(patient, truth),
    ]
    unsure = set(OF_NARROW_QRS if truth["qrs_ms"] >= WIDE_QRS else ())
    unsure |= set(OF_SLOW_RATES if rate > FAST else ())
    found = {id: past > doubt for id, past, doubt in rows if past > -doubt}
    if "st-depression" in found:  # what is low after J may be ST or T
        unsure.add("t-wave-inversion")
    return {id: sure and id not in unsure for id, sure in found.items()}


def _pr_rows(pr: float | None) -> list[tuple[str, float, float]]:
    return [] if pr is None else [("prolonged-pr-interval", pr - 200, 10), ("short-pr-interval", 120 - pr, 8)]


def _sinus_rows(rate: float | None) -> list[tuple[str, float, float]]:
    return [] if rate is None else [("sinus-tachycardia", rate - 100, 2.5), ("sinus-bradycardia", 60 - rate, 2.5)]


def _repolarisation_rows(patient: Patient, truth: dict[str, Any]) -> list[tuple[str, float, float]]:
    """By the two neighbouring leads that are furthest past the limit, µV."""
    j, t = truth["j_mv"], truth["t_mv"]
    in_front = 0.15 if patient.sex == "female" else 0.25 if patient.age < YOUNG else 0.2
    up = {lead: j[lead] - (in_front if lead in ("V2", "V3") else 0.1) for lead in j}
    return [
        ("st-elevation", 1000 * _both(up), 30),
        ("st-depression", 1000 * _both({lead: -0.05 - j[lead] for lead in j}), 20),
        ("t-wave-inversion", 1000 * _both({lead: -0.1 - t[lead] for lead in t}), 40),
    ]


def _both(past: dict[str, float]) -> float:
    return max(min(past[a], past[b]) for a, b in NEIGHBOURS)


def _height(truth: dict[str, Any], lead: str) -> float:
    return truth["r_mv"][lead] - truth["s_mv"][lead]
