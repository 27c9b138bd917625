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
    escape: the beats of a ventricular rhythm without conduction, of which one is drawn
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
    escape: str = "normal rbbb"

    @property
    def sinus(self) -> bool:
        return self.rhythm in ("sinus", "pvc")

    @property
    def comes_and_goes(self) -> bool:
        return self.rhythm == "pvc"


CONDITIONS = {
    "normal": Condition(concepts="normal-ecg"),
    "af": Condition((86, 104), rhythm="af", pr=None, age=(60, 85), concepts="atrial-fibrillation irregular-rhythm"),
    "flutter": Condition((71, 78), rhythm="flutter", pr=None, age=(55, 80), concepts="atrial-flutter"),
    "sinus-tachycardia": Condition((112, 135), pr=(125, 150), concepts="sinus-tachycardia"),
    "sinus-bradycardia": Condition((40, 50), concepts="sinus-bradycardia"),
    "first-degree-av-block": Condition((56, 72), pr=(240, 290), age=(50, 80), concepts="first-degree-av-block"),
    "complete-av-block": Condition(
        (34, 40),
        rhythm="complete",
        pr=None,
        age=(60, 85),
        concepts="complete-av-block av-dissociation",
        unknown="idioventricular-rhythm ventricular-escape-rhythm junctional-escape junctional-rhythm",
    ),
    "lbbb": Condition(beat="lbbb", qtc=(35, 35), age=(55, 80), concepts="left-bundle-branch-block"),
    "rbbb": Condition(beat="rbbb", qtc=(20, 20), age=(50, 80), concepts="right-bundle-branch-block"),
    "pvc": Condition(rhythm="pvc", age=(40, 75), concepts="premature-ventricular-contraction"),
    "paced": Condition(
        (65, 65),
        beat="paced",
        rhythm="paced",
        pr=None,
        qtc=(50, 50),
        age=(65, 88),
        concepts="ventricular-pacing paced-beat",
    ),
    "lvh": Condition(
        beat="lvh",
        qtc=(10, 10),
        age=(50, 75),
        concepts="left-ventricular-hypertrophy lvh-voltage-criteria high-qrs-voltage left-ventricular-strain",
    ),
    "anterior-stemi": Condition((72, 96), beat="anterior", age=(45, 75), concepts="anterior-stemi"),
    "inferior-stemi": Condition((58, 76), beat="inferior", age=(45, 75), concepts="inferior-stemi"),
    "lateral-stemi": Condition((68, 90), beat="lateral", age=(45, 75), concepts="lateral-stemi"),
    "noise": Condition(concepts="poor-signal-quality baseline-wander muscle-artifact", unknown="normal-ecg"),
    "flat-lead": Condition(concepts="flat-lead", unknown="normal-ecg"),
}
