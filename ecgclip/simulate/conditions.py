"""What can be simulated: one row a condition."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Condition:
    """What to simulate. A pair "by severity" is its value where the condition is mild and where it is severe.

    rate: range of ventricular beats a minute
    beat: its name in the table; of several, one is drawn
    rhythm: how atria and ventricles work together, a key of RHYTHMS
    pr: range of PR, ms; None without conducted P waves
    qtc: ms added to the normal, by severity
    age: range, years
    concepts: ids of the knowledge base that hold because the ECG was made so; what follows from numbers is added
    unknown: ids that may hold
    severity: range, of 0 to 1
    pattern: words of letters, one a cycle of the sinus node, as in `pattern.STEPS`; the words follow in any order
    ratio: atrial beats for each ventricular one
    rp: range from the onset of QRS to a retrograde P wave, ms; None without one
    other: the beats of another focus, of which one is drawn
    p_wave: the name of the P wave in the table
    wide, height: factors of QRS in time and in height, by severity
    p, t: factors of the P and the T wave in height, by severity
    turn: degrees by which the QRS axis is turned to the right, by severity
    alternans: part by which every second complex is lower, by severity
    sway: part by which respiration changes the cycle of the sinus node, by severity
    leads: how the electrodes lie, a key of `patient.ELECTRODES`
    noise: a key of `noise.NOISES`
    """

    rate: Range = (62, 84)
    beat: str = "normal"
    rhythm: str = "sinus"
    pr: Range | None = (145, 180)
    qtc: Range = (0, 0)
    age: tuple[int, int] = (25, 60)
    concepts: str = ""
    unknown: str = ""
    severity: Range = (1, 1)
    pattern: str = ""
    ratio: int = 1
    rp: Range | None = None
    other: str = "normal rbbb"
    p_wave: str = "normal"
    wide: Range = (1, 1)
    height: Range = (1, 1)
    p: Range = (1, 1)
    t: Range = (1, 1)
    turn: Range = (0, 0)
    alternans: Range = (0, 0)
    sway: Range = (0.025, 0.025)
    leads: str = "usual"
    noise: str = "good"

    @property
    def sinus(self) -> bool:
        """Whether the sinus node leads."""
        return self.rhythm in ("sinus", "pvc", "pattern") and self.p_wave != "ectopic" and self.leads == "usual"

    @property
    def comes_and_goes(self) -> bool:
        """Whether a short record may miss what the condition is named for."""
        return self.rhythm in ("pvc", "pattern")


OLD, ELDERLY = (50, 80), (60, 85)  # years
BY_SEVERITY = (0.0, 1.0)
# fmt: off
CONDITIONS = {
    "normal": Condition(concepts="normal-ecg"),
    "af": Condition((86, 104), rhythm="af", pr=None, age=ELDERLY, concepts="atrial-fibrillation irregular-rhythm",
        unknown="rapid-atrial-fibrillation"),
    "flutter": Condition((71, 78), rhythm="flutter", pr=None, age=(55, 80), concepts="atrial-flutter"),
    "sinus-tachycardia": Condition((112, 135), pr=(125, 150), concepts="sinus-tachycardia"),
    "sinus-bradycardia": Condition((40, 50), concepts="sinus-bradycardia"),
    "first-degree-av-block": Condition((56, 72), pr=(240, 290), age=OLD, concepts="first-degree-av-block"),
    "complete-av-block": Condition(
        (34, 40), rhythm="complete", pr=None, age=ELDERLY, concepts="complete-av-block av-dissociation",
        unknown="idioventricular-rhythm ventricular-escape-rhythm junctional-escape junctional-rhythm",
    ),
    "lbbb": Condition(beat="lbbb", qtc=(35, 35), age=(55, 80), concepts="left-bundle-branch-block"),
    "rbbb": Condition(beat="rbbb", qtc=(20, 20), age=OLD, concepts="right-bundle-branch-block"),
    "pvc": Condition(rhythm="pvc", age=(40, 75), concepts="premature-ventricular-contraction"),
    "paced": Condition(
        (65, 65), "paced", "paced", pr=None, qtc=(50, 50), age=(65, 88), concepts="ventricular-pacing paced-beat"
    ),
    "lvh": Condition(
        beat="lvh", qtc=(10, 10), age=(50, 75),
        concepts="left-ventricular-hypertrophy lvh-voltage-criteria high-qrs-voltage left-ventricular-strain",
    ),
    "anterior-stemi": Condition((72, 96), "anterior", age=(45, 75), concepts="anterior-stemi"),
    "inferior-stemi": Condition((58, 76), "inferior", age=(45, 75), concepts="inferior-stemi"),
    "lateral-stemi": Condition((68, 90), "lateral", age=(45, 75), concepts="lateral-stemi"),
    "noise": Condition(concepts="poor-signal-quality baseline-wander muscle-artifact", noise="heavy"),
    "flat-lead": Condition(concepts="flat-lead"),
    # Conduction
    "wpw": Condition(
        (62, 92), "wpw-left wpw-right wpw-septal", pr=(92, 116), age=(16, 50), severity=(0.7, 1.2),
        concepts="wolff-parkinson-white short-pr-interval",
        unknown="pathological-q-waves posterior-myocardial-infarction inferior-myocardial-infarction",
    ),
    "mild-first-degree-av-block": Condition(pr=(212, 240), age=OLD, concepts="first-degree-av-block"),
    "severe-first-degree-av-block": Condition((52, 66), pr=(300, 380), age=ELDERLY, concepts="first-degree-av-block"),
    "mobitz-1": Condition(
        (66, 88), rhythm="pattern", pr=(160, 200), pattern="NWWP NWWWP NWP", age=OLD,
        concepts="mobitz-1-av-block non-conducted-p-wave irregular-rhythm", unknown="prolonged-pr-interval",
    ),
    "mobitz-2": Condition(
        (66, 88), "normal rbbb lbbb", "pattern", pattern="NNNP NNP NNNNP", age=ELDERLY,
        concepts="mobitz-2-av-block non-conducted-p-wave irregular-rhythm",
        unknown="left-bundle-branch-block right-bundle-branch-block bundle-branch-block",
    ),
    "two-to-one-av-block": Condition(
        (34, 46), "normal rbbb", "pattern", pattern="NP", ratio=2, age=ELDERLY,
        concepts="two-to-one-av-block non-conducted-p-wave",
        unknown="high-grade-av-block right-bundle-branch-block mobitz-1-av-block mobitz-2-av-block",
    ),
    "high-grade-av-block": Condition(
        (26, 34), "normal rbbb", "pattern", pattern="NPP", ratio=3, age=ELDERLY,
        concepts="high-grade-av-block non-conducted-p-wave second-degree-av-block",
        unknown="right-bundle-branch-block mobitz-2-av-block",
    ),
    "complete-av-block-narrow": Condition(
        (38, 54), rhythm="complete", pr=None, age=ELDERLY, other="normal",
        concepts="complete-av-block av-dissociation", unknown="junctional-escape junctional-rhythm nodal-escape-beat",
    ),
    "complete-av-block-wide": Condition(
        (24, 38), "pvc-lv", "complete", pr=None, age=ELDERLY, other="pvc-lv pvc",
        concepts="complete-av-block av-dissociation ventricular-escape-rhythm",
        unknown="ventricular-escape-beat left-bundle-branch-block right-bundle-branch-block",
    ),
    "incomplete-rbbb": Condition(
        beat="irbbb", severity=(0.8, 1.15), wide=(1.05, 1.1), concepts="incomplete-right-bundle-branch-block"
    ),
    "lafb": Condition(beat="lafb", wide=(1.02, 1.12), severity=BY_SEVERITY, age=OLD,
        concepts="left-anterior-fascicular-block left-axis-deviation"),
    "lpfb": Condition(beat="lpfb", wide=(1.02, 1.12), severity=BY_SEVERITY, age=OLD,
        concepts="left-posterior-fascicular-block right-axis-deviation"),
    "bifascicular-block": Condition(beat="bifascicular", qtc=(20, 20), age=ELDERLY,
        concepts="bifascicular-block right-bundle-branch-block left-anterior-fascicular-block left-axis-deviation"),
    "trifascicular-block": Condition(beat="bifascicular", pr=(225, 290), qtc=(20, 20), age=ELDERLY,
        concepts="bifascicular-block right-bundle-branch-block left-anterior-fascicular-block left-axis-deviation "
        "first-degree-av-block", unknown="trifascicular-block"),
    "intraventricular-delay": Condition(wide=(1.45, 1.7), height=(0.85, 0.85), qtc=(20, 30), age=OLD,
        severity=BY_SEVERITY, concepts="intraventricular-conduction-delay", unknown="bundle-branch-block"),
    # Repolarisation, electrolytes, drugs
    "long-qt": Condition((58, 76), "lqt1 lqt2 lqt3", qtc=(75, 190), severity=BY_SEVERITY, age=(16, 60),
        concepts="prolonged-qt-interval", unknown="hypocalcemia hypokalemia"),
    "short-qt": Condition((58, 76), "short", qtc=(-65, -110), severity=BY_SEVERITY, age=(16, 50),
        concepts="short-qt-interval", unknown="hypercalcemia hyperkalemia"),
    "hyperkalemia": Condition((58, 84), "hyperkalemia", pr=(150, 230), p=(1, 0.3), wide=(1, 1.5), age=OLD,
        severity=(0.5, 1), concepts="hyperkalemia tall-t-waves", unknown="intraventricular-conduction-delay"),
    "severe-hyperkalemia": Condition((45, 72), "hyperkalemia", "junctional", pr=None, wide=(2, 2.7), height=(0.6, 0.5),
        t=(0.8, 0.65), qtc=(60, 110), severity=BY_SEVERITY, age=OLD, concepts="hyperkalemia",
        unknown="idioventricular-rhythm junctional-rhythm accelerated-idioventricular-rhythm ventricular-escape-rhythm "
        "intraventricular-conduction-delay left-bundle-branch-block accelerated-junctional-rhythm tall-t-waves"),
    "hypokalemia": Condition((64, 92), "hypokalemia", severity=(0.6, 1.2), qtc=(10, 40),
        concepts="hypokalemia u-wave", unknown="subendocardial-injury prolonged-qt-interval low-t-wave-amplitude"),
    "hypocalcemia": Condition((62, 88), "hypocalcemia", qtc=(65, 130), severity=BY_SEVERITY,
        concepts="hypocalcemia prolonged-qt-interval"),
    "hypercalcemia": Condition((62, 88), "hypercalcemia", qtc=(-50, -95), severity=BY_SEVERITY, age=OLD,
        concepts="hypercalcemia", unknown="short-qt-interval"),
    "digitalis": Condition((54, 74), "digitalis", pr=(165, 215), qtc=(-25, -55), severity=(0.7, 1.3), age=ELDERLY,
        concepts="digitalis-effect", unknown="short-qt-interval subendocardial-injury"),
    "hypothermia": Condition((36, 52), "osborn", pr=(170, 215), qtc=(30, 90), severity=(0.6, 1.6), age=OLD,
        concepts="hypothermia sinus-bradycardia", unknown="prolonged-qt-interval st-elevation early-repolarization"),
    "t-wave-inversion": Condition(beat="t-anterior t-inferior t-lateral t-global", severity=(0.85, 1.2), age=OLD,
        concepts="t-wave-inversion", unknown="anterior-ischemia inferior-ischemia lateral-ischemia wellens-syndrome "
        "anterolateral-ischemia anteroseptal-ischemia inferolateral-ischemia"),
    # Infarction and ischemia
    "lbbb-with-infarction": Condition((68, 96), "sgarbossa", qtc=(35, 35), age=(55, 80),
        concepts="sgarbossa-criteria-positive left-bundle-branch-block", unknown="stemi st-elevation anterior-stemi "
        "acute-myocardial-infarction myocardial-infarction lateral-stemi"),
    "right-ventricular-infarction": Condition((48, 76), "rv-infarct", severity=(0.85, 1.3), age=(45, 75),
        concepts="right-ventricular-infarction inferior-stemi", unknown="st-depression"),
    "high-lateral-stemi": Condition((66, 92), "high-lateral", severity=(0.85, 1.3), age=(45, 75),
        concepts="high-lateral-stemi", unknown="st-depression"),
    "posterior-stemi": Condition((62, 92), "posterior", severity=(0.7, 1.3), age=OLD,
        concepts="posterior-stemi st-depression", unknown="anteroseptal-subendocardial-injury subendocardial-injury"),
    "ventricular-aneurysm": Condition(beat="aneurysm", severity=(1.0, 1.3), age=OLD,
        concepts="ventricular-aneurysm anterior-myocardial-infarction old-myocardial-infarction pathological-q-waves "
        "st-elevation", unknown="anterior-stemi anteroseptal-myocardial-infarction septal-myocardial-infarction"),
    "old-posterior-infarction": Condition(beat="old-posterior", severity=(0.8, 1.2), age=OLD,
        concepts="posterior-myocardial-infarction old-myocardial-infarction", unknown="right-ventricular-hypertrophy"),
    "old-anterior-infarction": Condition(beat="old-anterior", severity=(0.85, 1.15), age=OLD,
        concepts="anterior-myocardial-infarction old-myocardial-infarction pathological-q-waves",
        unknown="anteroseptal-myocardial-infarction septal-myocardial-infarction anterior-ischemia "
        "anterolateral-myocardial-infarction low-qrs-voltage"),
    "old-inferior-infarction": Condition(beat="old-inferior", severity=(0.85, 1.3), age=OLD,
        concepts="inferior-myocardial-infarction old-myocardial-infarction pathological-q-waves",
        unknown="inferior-ischemia left-axis-deviation left-anterior-fascicular-block"),
    "old-lateral-infarction": Condition(beat="old-lateral", severity=(0.85, 1.2), age=OLD,
        concepts="lateral-myocardial-infarction old-myocardial-infarction pathological-q-waves",
        unknown="lateral-ischemia right-axis-deviation"),
    "subendocardial-ischemia": Condition((76, 104), "subendocardial", severity=(0.6, 1.4), age=OLD,
        concepts="subendocardial-injury st-depression", unknown="lateral-subendocardial-injury left-main-ischemia "
        "inferolateral-subendocardial-injury inferior-subendocardial-injury anterolateral-subendocardial-injury"),
    "left-main-ischemia": Condition((84, 112), "left-main", severity=(0.8, 1.2), age=OLD,
        concepts="left-main-ischemia subendocardial-injury st-depression", unknown="st-elevation "
        "lateral-subendocardial-injury inferolateral-subendocardial-injury anterolateral-subendocardial-injury "
        "inferior-subendocardial-injury"),
    "anterior-ischemia": Condition((64, 92), "t-anterior", severity=(0.85, 1.3), age=OLD,
        concepts="anterior-ischemia t-wave-inversion", unknown="anteroseptal-ischemia anterolateral-ischemia "
        "wellens-syndrome pulmonary-embolism"),
    "inferior-ischemia": Condition((64, 92), "t-inferior", severity=(0.85, 1.3), age=OLD,
        concepts="inferior-ischemia t-wave-inversion"),
    "lateral-ischemia": Condition((64, 92), "t-lateral", severity=(0.85, 1.3), age=OLD,
        concepts="lateral-ischemia t-wave-inversion", unknown="anterolateral-ischemia left-ventricular-strain"),
    "wellens-a": Condition(beat="wellens-a", severity=(0.8, 1.2), age=OLD, concepts="wellens-syndrome",
        unknown="anterior-ischemia anteroseptal-ischemia t-wave-inversion"),
    "wellens-b": Condition(beat="wellens-b", severity=(0.8, 1.2), age=OLD, concepts="wellens-syndrome t-wave-inversion",
        unknown="anterior-ischemia anteroseptal-ischemia anterolateral-ischemia"),
    "hyperacute-t": Condition((68, 96), "hyperacute", severity=(0.8, 1.2), age=OLD,
        concepts="hyperacute-t-waves tall-t-waves", unknown="hyperkalemia anterior-stemi de-winter-pattern "
        "anterior-myocardial-infarction acute-myocardial-infarction st-elevation"),
    "de-winter": Condition((72, 98), "de-winter", severity=(0.8, 1.2), age=OLD,
        concepts="de-winter-pattern", unknown="hyperacute-t-waves subendocardial-injury anterior-stemi tall-t-waves "
        "anterior-myocardial-infarction acute-myocardial-infarction"),
    # Other diseases of the heart, and what resembles them
    "pericarditis": Condition((78, 108), "pericarditis", severity=(0.8, 1.3), age=(18, 60),
        concepts="pericarditis", unknown="stemi st-elevation inferior-stemi lateral-stemi anterior-stemi"),
    "early-repolarization": Condition((50, 68), "early", severity=(0.8, 1.3), age=(16, 40),
        concepts="early-repolarization", unknown="normal-ecg st-elevation sinus-bradycardia pericarditis"),
    "brugada-1": Condition(beat="brugada-1", severity=(0.8, 1.3), age=(25, 60), concepts="brugada-type-1",
        unknown="st-elevation incomplete-right-bundle-branch-block right-bundle-branch-block anteroseptal-ischemia"),
    "brugada-2": Condition(beat="brugada-2", severity=(0.9, 1.3), age=(25, 60), concepts="brugada-type-2",
        unknown="st-elevation incomplete-right-bundle-branch-block right-bundle-branch-block"),
    "rvh": Condition((66, 96), "rvh", p_wave="normal rae", severity=BY_SEVERITY, height=(0.85, 1.25), age=(25, 75),
        concepts="right-ventricular-hypertrophy right-axis-deviation", unknown="right-atrial-enlargement tall-p-wave "
        "posterior-myocardial-infarction left-posterior-fascicular-block"),
    "lvh-voltage": Condition(beat="lvh", severity=(0, 0.15), height=(0.95, 1.15), age=(35, 75),
        concepts="lvh-voltage-criteria high-qrs-voltage", unknown="left-ventricular-hypertrophy"),
    "lae": Condition(p_wave="lae", severity=(0.7, 1.2), age=OLD, pr=(165, 195),
        concepts="left-atrial-enlargement", unknown="prolonged-p-wave interatrial-block"),
    "rae": Condition((66, 98), p_wave="rae", severity=(0.8, 1.3), age=(30, 75),
        concepts="right-atrial-enlargement tall-p-wave"),
    "biatrial-enlargement": Condition((66, 98), p_wave="biatrial", pr=(160, 190), severity=(0.8, 1.2), age=(30, 75),
        concepts="biatrial-enlargement tall-p-wave", unknown="prolonged-p-wave interatrial-block"),
    "low-voltage": Condition(height=(0.36, 0.18), t=(0.7, 0.45), p=(0.8, 0.6), severity=BY_SEVERITY, age=OLD,
        concepts="low-qrs-voltage"),
    "poor-r-progression": Condition(beat="poor-r", severity=(0.85, 1.1), age=OLD,
        concepts="poor-r-wave-progression", unknown="anterior-myocardial-infarction anteroseptal-myocardial-infarction "
        "old-myocardial-infarction septal-myocardial-infarction pathological-q-waves"),
    "left-axis": Condition(turn=(-92, -118), severity=BY_SEVERITY, age=OLD, concepts="left-axis-deviation",
        unknown="left-anterior-fascicular-block pathological-q-waves inferior-myocardial-infarction"),
    "right-axis": Condition(turn=(45, 75), severity=BY_SEVERITY, age=(18, 60), concepts="right-axis-deviation",
        unknown="left-posterior-fascicular-block right-ventricular-hypertrophy lateral-myocardial-infarction"),
    "apical-hypertrophy": Condition(beat="apical", severity=(0.8, 1.2), age=(30, 75), unknown="left-ventricular-strain "
        "left-ventricular-hypertrophy anterior-ischemia lateral-ischemia anterolateral-ischemia",
        concepts="apical-hypertrophic-cardiomyopathy t-wave-inversion lvh-voltage-criteria high-qrs-voltage"),
    "intracranial-hemorrhage": Condition((52, 84), "cerebral", qtc=(70, 150), severity=(0.6, 1.1), age=(30, 80),
        concepts="intracranial-hemorrhage t-wave-inversion prolonged-qt-interval", unknown="anterior-ischemia "
        "lateral-ischemia anterolateral-ischemia wellens-syndrome"),
    "pulmonary-embolism": Condition((102, 128), "embolism", pr=(125, 150), severity=(0.8, 1.2), age=(30, 80),
        concepts="pulmonary-embolism acute-right-heart-strain sinus-tachycardia t-wave-inversion",
        unknown="anterior-ischemia anteroseptal-ischemia right-axis-deviation"),
    "electrical-alternans": Condition((84, 112), height=(0.75, 0.55), alternans=(0.25, 0.5), severity=BY_SEVERITY,
        age=OLD, concepts="electrical-alternans", unknown="low-qrs-voltage pericardial-effusion"),
    # Supraventricular rhythms
    "sinus-arrhythmia": Condition((58, 78), sway=(0.11, 0.22), severity=BY_SEVERITY, age=(12, 40),
        concepts="sinus-arrhythmia irregular-rhythm", unknown="normal-ecg"),
    "ectopic-atrial-rhythm": Condition((56, 78), rhythm="regular", p_wave="ectopic", pr=(118, 150),
        concepts="ectopic-atrial-rhythm", unknown="short-pr-interval junctional-rhythm"),
    "wandering-pacemaker": Condition((58, 84), rhythm="multifocal", pr=(135, 165), age=(30, 85),
        concepts="wandering-atrial-pacemaker", unknown="irregular-rhythm ectopic-atrial-rhythm sinus-rhythm "
        "premature-atrial-contraction"),
    "multifocal-atrial-tachycardia": Condition((106, 136), rhythm="multifocal", pr=(120, 150), age=OLD,
        concepts="multifocal-atrial-tachycardia irregular-rhythm", unknown="premature-atrial-contraction"),
    "junctional-rhythm": Condition((42, 58), rhythm="junctional", pr=None, rp=(60, 95), age=OLD,
        concepts="junctional-rhythm", unknown="junctional-escape nodal-escape-beat"),
    "accelerated-junctional-rhythm": Condition((68, 96), rhythm="junctional", pr=None, age=OLD,
        concepts="accelerated-junctional-rhythm"),
    "avnrt": Condition((150, 220), rhythm="junctional", pr=None, rp=(52, 66), qtc=(-30, -30), t=(0.7, 0.7),
        age=(18, 70), concepts="supraventricular-tachycardia avnrt tachycardia",
        unknown="junctional-tachycardia avrt st-depression"),
    "avrt": Condition((160, 230), rhythm="junctional", pr=None, rp=(100, 135), qtc=(-30, -30), t=(0.7, 0.7),
        age=(16, 50), concepts="supraventricular-tachycardia avrt tachycardia",
        unknown="avnrt atrial-tachycardia st-depression junctional-tachycardia "
        "paroxysmal-supraventricular-tachycardia"),
    "atrial-tachycardia": Condition((120, 175), rhythm="regular", p_wave="ectopic", pr=(110, 150), qtc=(-10, -10),
        age=(30, 80), concepts="atrial-tachycardia tachycardia", unknown="supraventricular-tachycardia"),
    "flutter-2-to-1": Condition((135, 158), rhythm="fixed flutter", ratio=2, pr=None, qtc=(-25, -25), age=(50, 85),
        concepts="atrial-flutter tachycardia", unknown="supraventricular-tachycardia"),
    "flutter-3-to-1": Condition((88, 106), rhythm="fixed flutter", ratio=3, pr=None, age=(50, 85),
        concepts="atrial-flutter"),
    "flutter-4-to-1": Condition((62, 80), rhythm="fixed flutter", ratio=4, pr=None, age=(50, 85),
        concepts="atrial-flutter"),
    "flutter-variable": Condition((85, 104), rhythm="variable flutter", ratio=3, pr=None, age=(50, 85),
        concepts="atrial-flutter irregular-rhythm"),
    "af-with-lbbb": Condition((74, 112), "lbbb", "af", pr=None, qtc=(30, 30), age=ELDERLY,
        concepts="atrial-fibrillation left-bundle-branch-block irregular-rhythm", unknown="rapid-atrial-fibrillation"),
    "af-with-rbbb": Condition((74, 112), "rbbb", "af", pr=None, qtc=(20, 20), age=ELDERLY,
        concepts="atrial-fibrillation right-bundle-branch-block irregular-rhythm", unknown="rapid-atrial-fibrillation"),
    "rapid-af": Condition((122, 165), rhythm="af", pr=None, qtc=(-15, -15), age=(45, 85),
        concepts="rapid-atrial-fibrillation irregular-rhythm"),
    "slow-af": Condition((36, 50), rhythm="af", pr=None, age=ELDERLY,
        concepts="slow-atrial-fibrillation irregular-rhythm"),
    "pac": Condition(rhythm="pattern", pattern="NNNA NNNNA NNNNNA", age=(30, 80),
        concepts="premature-atrial-contraction supraventricular-premature-beat"),
    "blocked-pac": Condition(rhythm="pattern", pattern="NNNB NNNNB", age=OLD,
        concepts="blocked-premature-atrial-contraction non-conducted-p-wave", unknown="sinoatrial-block"),
    "atrial-bigeminy": Condition(rhythm="pattern", pattern="NA", age=(30, 80),
        concepts="atrial-bigeminy irregular-rhythm supraventricular-premature-beat"),
    "junctional-premature-beat": Condition(rhythm="pattern", pattern="NNNK NNNNK", age=(30, 80),
        concepts="premature-junctional-contraction nodal-premature-beat"),
    "sinus-arrest": Condition((52, 72), rhythm="pattern", pattern="NNN~ NNNNJ", age=ELDERLY,
        concepts="sinus-arrest sinus-node-dysfunction irregular-rhythm", unknown="sinoatrial-block junctional-escape "
        "nodal-escape-beat asystole"),
    "sinoatrial-block": Condition((56, 76), rhythm="pattern", pattern="NNN- NNNN- NN-", age=ELDERLY,
        concepts="sinoatrial-block sinus-node-dysfunction irregular-rhythm", unknown="sinus-arrest "
        "blocked-premature-atrial-contraction"),
    "asystole": Condition((40, 60), rhythm="asystole", pr=None, age=ELDERLY, concepts="asystole",
        unknown="low-qrs-voltage"),
    # Ventricular rhythms
    "pvc-left": Condition(rhythm="pattern", pattern="NNNV NNNNV NNV", other="pvc-lv", age=(40, 80),
        concepts="premature-ventricular-contraction"),
    "ventricular-bigeminy": Condition(rhythm="pattern", pattern="NV", other="pvc pvc-lv", age=(40, 80),
        concepts="ventricular-bigeminy"),
    "ventricular-trigeminy": Condition(rhythm="pattern", pattern="NNV", other="pvc pvc-lv", age=(40, 80),
        concepts="ventricular-trigeminy"),
    "ventricular-couplet": Condition(rhythm="pattern", pattern="NNNVV NNNNVV", other="pvc pvc-lv", age=(40, 80),
        concepts="ventricular-couplet"),
    "nonsustained-vt": Condition(rhythm="pattern", pattern="NNNVVVV NNNNVVVVVV", other="pvc pvc-lv", age=OLD,
        concepts="nonsustained-ventricular-tachycardia premature-ventricular-contraction wide-complex-tachycardia",
        unknown="tachycardia ventricular-tachycardia bradycardia"),
    "vt": Condition((140, 210), "pvc pvc-lv", "ventricular", pr=None, qtc=(-60, -60), age=OLD,
        concepts="ventricular-tachycardia wide-complex-tachycardia", unknown="av-dissociation ventricular-flutter "
        "left-bundle-branch-block right-bundle-branch-block"),
    "ventricular-flutter": Condition((250, 300), "pvc pvc-lv", "ventricular", pr=None, qtc=(-90, -90), age=OLD,
        concepts="ventricular-flutter wide-complex-tachycardia", unknown="av-dissociation ventricular-flutter-wave "
        "left-bundle-branch-block right-bundle-branch-block"),
    "accelerated-idioventricular-rhythm": Condition((56, 98), "pvc pvc-lv", "ventricular", pr=None, age=OLD,
        concepts="accelerated-idioventricular-rhythm", unknown="av-dissociation left-bundle-branch-block "
        "right-bundle-branch-block"),
    "idioventricular-rhythm": Condition((26, 39), "pvc pvc-lv", "ventricular", pr=None, age=ELDERLY,
        concepts="idioventricular-rhythm", unknown="av-dissociation ventricular-escape-rhythm complete-av-block "
        "ventricular-escape-beat left-bundle-branch-block right-bundle-branch-block"),
    "torsades": Condition((54, 72), "lqt2", "torsades", qtc=(110, 190), severity=BY_SEVERITY, age=(30, 80),
        concepts="torsades-de-pointes", unknown="ventricular-fibrillation ventricular-flutter tachycardia "
        "wide-complex-tachycardia nonsustained-ventricular-tachycardia long-qt-syndrome"),
    "ventricular-fibrillation": Condition((250, 300), rhythm="vf", pr=None, severity=BY_SEVERITY, age=ELDERLY,
        concepts="ventricular-fibrillation", unknown="polymorphic-ventricular-tachycardia ventricular-tachycardia "
        "torsades-de-pointes ventricular-flutter tachycardia low-qrs-voltage asystole"),
    # Pacemakers
    "atrial-pacing": Condition((60, 75), rhythm="atrial pacing", pr=(170, 230), age=(60, 88),
        concepts="atrial-pacing", unknown="prolonged-pr-interval"),
    "dual-chamber-pacing": Condition((60, 75), "paced", "dual pacing", pr=(150, 190), qtc=(50, 50), age=(60, 88),
        concepts="dual-chamber-pacing ventricular-pacing atrial-pacing paced-beat"),
    "failure-to-capture": Condition((58, 65), "paced", "capture failure", pr=None, qtc=(50, 50), age=(60, 88),
        concepts="pacemaker-failure-to-capture ventricular-pacing paced-beat", unknown="bradycardia asystole"),
    # The recording
    "arm-lead-reversal": Condition(leads="arms", concepts="arm-lead-reversal", unknown="right-axis-deviation "
        "extreme-axis-deviation dextrocardia ectopic-atrial-rhythm sinus-rhythm lateral-myocardial-infarction"),
    "leg-lead-reversal": Condition(leads="leg", concepts="limb-lead-reversal", unknown="left-axis-deviation "
        "sinus-rhythm inferior-myocardial-infarction"),
    "chest-lead-misplacement": Condition(leads="chest", concepts="precordial-lead-misplacement", unknown="sinus-rhythm "
        "poor-r-wave-progression posterior-myocardial-infarction"),
    "dextrocardia": Condition(leads="mirror", concepts="dextrocardia", unknown="right-axis-deviation sinus-rhythm "
        "extreme-axis-deviation arm-lead-reversal poor-r-wave-progression ectopic-atrial-rhythm low-qrs-voltage"),
    "baseline-wander": Condition(noise="wander", concepts="baseline-wander", unknown="poor-signal-quality"),
    "muscle-artifact": Condition(noise="muscle", concepts="muscle-artifact", unknown="poor-signal-quality"),
    "mains-interference": Condition(noise="mains", concepts="mains-interference", unknown="poor-signal-quality"),
}
# fmt: on
