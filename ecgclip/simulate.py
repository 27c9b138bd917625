"""Twelve-lead ECGs of known truth: `simulate("af", seed=1)` -> ECG in mV, `write_record(ecg, path)` -> a WFDB record.

A heartbeat is a sum of Gaussian waves, as in McSharry et al., "A dynamical model for generating synthetic
electrocardiogram signals" (IEEE Trans Biomed Eng, 2003). A wave has one course in time and eight amplitudes, one for
each independent lead; III, aVR, aVL and aVF follow exactly from I and II (Einthoven, Goldberger). Times are in ms,
amplitudes in mV. Shapes were set by hand with the median beats of PTB-XL beside them. A seed is a patient: the dipole
that the leads see is turned a little in the frontal and horizontal planes, through the lead field of Dower et al., "On
deriving the electrocardiogram from vectorcardiographic leads" (Clin Cardiol, 1980), and gains, intervals and rate
differ as in healthy people.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ecgclip.ecg import ECG, LEADS, EcgclipError

SECONDS = (2.0, 3600.0)  # shortest and longest record
SAMPLING_RATES = (100.0, 2000.0)  # Hz; below 100 Hz a QRS complex is no longer sampled


@dataclass(frozen=True)
class Condition:
    """What to simulate.

    rate: range of ventricular beats a minute
    beat: its name in the table
    rhythm: how atria and ventricles work together
    pr: range of PR, ms; None without conducted P waves
    qtc: ms added to the normal
    age: range, years
    """

    rate: tuple[float, float] = (62, 84)
    beat: str = "normal"
    rhythm: str = "sinus"
    pr: tuple[float, float] | None = (145, 180)
    qtc: float = 0
    age: tuple[int, int] = (25, 60)


CONDITIONS = {
    "normal": Condition(),
    "af": Condition((86, 104), rhythm="af", pr=None, age=(60, 85)),
    "flutter": Condition((71, 78), rhythm="flutter", pr=None, age=(55, 80)),
    "sinus-tachycardia": Condition((112, 135), pr=(125, 150)),
    "sinus-bradycardia": Condition((40, 50)),
    "first-degree-av-block": Condition((56, 72), pr=(240, 290), age=(50, 80)),
    "complete-av-block": Condition((34, 40), rhythm="complete", pr=None, age=(60, 85)),
    "lbbb": Condition(beat="lbbb", qtc=35, age=(55, 80)),
    "rbbb": Condition(beat="rbbb", qtc=20, age=(50, 80)),
    "pvc": Condition(rhythm="pvc", age=(40, 75)),
    "paced": Condition((65, 65), beat="paced", rhythm="paced", pr=None, qtc=50, age=(65, 88)),
    "lvh": Condition(beat="lvh", qtc=10, age=(50, 75)),
    "anterior-stemi": Condition((72, 96), beat="anterior", age=(45, 75)),
    "inferior-stemi": Condition((58, 76), beat="inferior", age=(45, 75)),
    "lateral-stemi": Condition((68, 90), beat="lateral", age=(45, 75)),
    "noise": Condition(),
    "flat-lead": Condition(),
}
# One wave a row: peak, rise and fall (SD) in ms | mV at the peak in each independent lead. Times count from the onset
# of the P wave for P, and from the beginning of the QRS complex for QRS and T (at a QT of about 390 ms).
TABLE = """
             peak rise fall |    I     II     V1     V2     V3     V4     V5     V6
P              36   15   16 |  0.04   0.09   0.06   0.05   0.04   0.04   0.03   0.03   right atrium: forward, down
P              68   16   17 |  0.05   0.08  -0.05  -0.01   0.02   0.03   0.03   0.03   left atrium: backward, left
normal QRS     14    8    7 | -0.05  -0.03   0.20   0.33   0.10   0.08  -0.06  -0.08   septum
normal QRS     34    9    9 |  0.66   1.02  -0.72  -0.40   0.70   1.45   1.55   1.22   free walls
normal QRS     56   10   11 | -0.07  -0.12  -0.38  -1.15  -0.85  -0.48  -0.24  -0.08   base
normal T      255   80   45 |  0.04   0.05  -0.01   0.17   0.14   0.08   0.05   0.03   ST slope
normal T      292   46   36 |  0.18   0.25  -0.04   0.26   0.32   0.32   0.27   0.20
lbbb QRS       16    8    8 |  0.04   0.12   0.12   0.28   0.36   0.30   0.05   0.02   right ventricle
lbbb QRS       46   16   17 |  0.52   0.36  -1.10  -2.00  -1.75  -0.35   0.50   0.72   septum, right to left
lbbb QRS       72   18   18 |  0.24  -0.18  -1.00  -1.75  -1.50  -0.75   0.08   0.14
lbbb QRS      102   18   19 |  0.58  -0.32  -0.70  -1.00  -0.95  -0.45   0.58   0.70   lateral wall, late
lbbb T        285  105   45 | -0.14   0.06   0.30   0.50   0.42   0.10  -0.14  -0.17
lbbb T        330   50   38 | -0.12   0.10   0.18   0.42   0.38   0.14  -0.10  -0.15
rbbb QRS       14    8    7 | -0.05  -0.03   0.24   0.36   0.20   0.08  -0.06  -0.08
rbbb QRS       34    9   10 |  0.62   0.78  -0.36  -0.20   0.55   1.20   1.25   1.00
rbbb QRS       55   10   10 | -0.05  -0.08  -0.28  -0.60  -0.55  -0.35  -0.20  -0.10
rbbb QRS       88   16   18 | -0.32  -0.18   0.85   0.48   0.05  -0.22  -0.34  -0.34   right ventricle, late
rbbb T        270   80   45 |  0.03   0.03  -0.10  -0.06   0.00   0.05   0.04   0.03
rbbb T        305   46   36 |  0.18   0.22  -0.17  -0.12   0.06   0.20   0.24   0.20
pvc QRS        46   18   20 |  0.20   0.65  -0.35  -0.45   0.05   0.55   0.65   0.50   from the outflow tract
pvc QRS        88   24   24 |  0.12   1.05  -0.75  -1.25  -0.65   0.50   0.85   0.65
pvc T         240   80   60 | -0.08  -0.25   0.18   0.30   0.15  -0.15  -0.22  -0.18
pvc T         320   58   40 | -0.08  -0.42   0.22   0.42   0.25  -0.25  -0.32  -0.25
paced QRS      22    9   12 |  0.10  -0.05  -0.05  -0.06  -0.04   0.03   0.03   0.03   from the right apex: up, left
paced QRS      62   20   22 |  0.40  -0.50  -0.50  -0.90  -0.95  -0.70  -0.40  -0.15
paced QRS     106   22   22 |  0.36  -0.62  -0.42  -0.80  -0.95  -0.85  -0.55  -0.25
paced T       280   95   50 | -0.12   0.18   0.16   0.30   0.32   0.25   0.15   0.06
paced T       340   55   40 | -0.12   0.24   0.16   0.32   0.34   0.28   0.18   0.08
lvh QRS        14    8    7 | -0.05  -0.03   0.20   0.36   0.30   0.08  -0.06  -0.08
lvh QRS        36   10   10 |  1.20   0.85  -1.50  -0.90  -0.20   1.70   2.80   2.20
lvh QRS        58   11   12 |  0.05  -0.12  -0.75  -1.95  -1.45  -0.80  -0.20   0.05
lvh T         180   80   70 | -0.07  -0.04   0.08   0.12   0.08  -0.03  -0.12  -0.12   strain
lvh T         290   70   30 | -0.24  -0.10   0.16   0.34   0.26  -0.10  -0.36  -0.34
anterior QRS   24    9    9 |  0.00   0.00  -0.12  -0.42  -0.60  -0.50  -0.15   0.00   Q wave, beside the normal QRS
anterior T    185  105   75 |  0.07  -0.04   0.14   0.32   0.38   0.28   0.12   0.04   injury current
anterior T    275   60   44 |  0.16   0.10   0.14   0.55   0.68   0.58   0.34   0.18
inferior QRS   22    8    9 |  0.06  -0.28   0.00   0.06   0.04   0.00  -0.05  -0.08
inferior T    185  105   75 | -0.08   0.24   0.02  -0.12  -0.10  -0.03   0.05   0.07
inferior T    275   60   44 | -0.06   0.38  -0.02   0.02   0.12   0.22   0.24   0.22
lateral QRS    20    8    9 | -0.20   0.02   0.06   0.06   0.00  -0.08  -0.22  -0.26
lateral T     185  105   75 |  0.22   0.02  -0.09  -0.08   0.02   0.14   0.27   0.27
lateral T     275   60   44 |  0.32   0.08  -0.06   0.10   0.22   0.34   0.44   0.40
"""
INFARCTS = ("anterior", "inferior", "lateral")  # these QRS waves are added to those of the normal complex
# mV, in the order of the table: fibrillatory waves, flutter waves, pacing spikes
FIBRILLATION = np.array([0.008, 0.028, 0.055, 0.028, 0.012, 0.008, 0.008, 0.008])
FLUTTER = np.array([-0.01, 0.13, -0.09, -0.04, 0.01, 0.03, 0.035, 0.035])
SPIKE = np.array([0.50, -0.70, -0.55, -0.80, -0.90, -0.80, -0.60, -0.40])
SPIKE_BEFORE_S, SPIKE_S = 0.010, 0.002  # a spike begins so long before its complex, and lasts so long
# What the leads see of the heart's dipole: x to the left, y to the feet, z to the back.
DOWER_X = [0.632, 0.235, -0.515, 0.044, 0.882, 1.213, 1.125, 0.831]
DOWER_Y = [-0.235, 1.066, 0.157, 0.164, 0.098, 0.127, 0.127, 0.076]
DOWER_Z = [0.059, -0.132, -0.917, -1.387, -1.277, -0.601, -0.086, 0.230]
DOWER = np.column_stack([DOWER_X, DOWER_Y, DOWER_Z])
GRID = np.arange(-100.0, 900.0)  # ms around the beginning of a complex
ADC_GAIN = 1000  # units for 1 mV in a written record
MAX_MV = 32767 / ADC_GAIN  # the largest value that format 16 holds

Waves: TypeAlias = Callable[[np.ndarray], np.ndarray]  # ms (n,) -> mV (8, n)
Beat: TypeAlias = tuple[float, str]  # onset of QRS, s, and the name of the beat in the table


def simulate(condition: str, seed: int = 0, seconds: float = 10, sampling_rate: float = 500) -> ECG:
    """Simulate a 12-lead ECG. The same arguments give the same signal.

    Parameters
    ----------
    condition : str
        A key of `CONDITIONS`.
    seed : int
        The patient, from 0 up.
    seconds : float
        2 to 3600.
    sampling_rate : float
        Hz, 100 to 2000.

    Returns
    -------
    ECG
        float32 (12, seconds * sampling_rate), mV. `metadata` has age, sex, comments and `truth`, taken from the
        noise-free model: heart_rate (ventricular, /min), pr_ms (None where P waves are absent or not conducted),
        qrs_ms, qt_ms, axis_deg (of the QRS area), st_mv {lead: mV, 60 ms after the J point} and r_peaks_s. They
        describe the prevailing beat.

    Raises
    ------
    EcgclipError
        The condition is unknown, or the seed, length or sampling rate is out of range.
    """
    _check_arguments(condition, seed, seconds, sampling_rate)
    kind, rng = CONDITIONS[condition], np.random.default_rng(seed)
    patient = _Patient.draw(kind, rng)
    beats, p_onsets = _schedule(kind, patient, seconds, rng)

    time = np.arange(int(np.ceil(seconds * sampling_rate - 1e-6))) / sampling_rate
    respiration = np.sin(2 * np.pi * patient.breaths * time + rng.uniform(0, 2 * np.pi))
    signal = np.zeros((8, time.size))
    p_wave = patient.p_wave()
    for onset in p_onsets:
        _add(signal, time, onset, p_wave)
    _add_beats(signal, time, beats, patient, respiration, sampling_rate, rng)
    signal += _atrial_waves(kind.rhythm, patient, time, rng)
    signal += _noise(condition == "noise", time, respiration, sampling_rate, rng)
    truth = _truth(patient, beats, seconds)
    if condition == "flat-lead":
        signal[LEADS.index("V2") - 4] = 0
        truth["st_mv"]["V2"] = 0.0
    comments = [f"Simulated: {condition}, seed {seed}"]
    metadata = {"age": patient.age, "sex": patient.sex, "comments": comments, "truth": truth}
    return ECG(_twelve(signal.astype(np.float32)), float(sampling_rate), LEADS, metadata=metadata)


def write_record(ecg: ECG, path: str | os.PathLike) -> str:
    """Write an ECG as a WFDB record in format 16 at 1 µV. Both files appear whole or not at all.

    Parameters
    ----------
    ecg : ECG
    path : str or PathLike
        The record, with or without .hea.

    Returns
    -------
    str
        The path of the header.

    Raises
    ------
    EcgclipError
        The name or the folder cannot hold a record.
    """
    import wfdb

    header = Path(str(path).removesuffix(".hea") + ".hea")
    if not re.fullmatch(r"[-\w]+", header.stem):
        raise EcgclipError(f"{path}: a WFDB record name has letters, digits, '-' and '_' only: rename it")
    try:
        header.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=header.parent, prefix=".simulate-") as folder:
            wfdb.wrsamp(
                header.stem,
                fs=ecg.sampling_rate,
                units=["mV"] * len(ecg.leads),
                sig_name=list(ecg.leads),
                p_signal=np.clip(ecg.signal.T.astype(np.float64), -MAX_MV, MAX_MV),
                fmt=["16"] * len(ecg.leads),
                adc_gain=[float(ADC_GAIN)] * len(ecg.leads),
                baseline=[0] * len(ecg.leads),
                comments=_comments(ecg.metadata),
                write_dir=folder,
            )
            for suffix in (".dat", ".hea"):  # the header last: a record is there once its header is
                os.replace(Path(folder, header.stem + suffix), header.with_suffix(suffix))
    except OSError as error:
        raise EcgclipError(f"{header}: cannot write the record ({error.strerror or error})") from error
    return str(header)


def _comments(metadata: dict) -> list[str]:
    """The comment lines of a header: age, sex, and the other comments."""
    age, sex = metadata.get("age"), metadata.get("sex")
    lines = [] if age is None else [f"Age: {age:g}"]
    lines += [] if sex is None else [f"Sex: {str(sex).capitalize()}"]
    return lines + [text for text in metadata.get("comments", []) if not re.match(r"(?i)\s*(age|sex)\s*:", text)]


def _check_arguments(condition: str, seed: int, seconds: float, sampling_rate: float) -> None:
    if condition not in CONDITIONS:
        raise EcgclipError(f"unknown condition {condition!r}: choose one of {', '.join(CONDITIONS)}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise EcgclipError(f"seed must be a whole number from 0 up, not {seed!r}")
    for name, value, (low, high), unit in (
        ("seconds", seconds, SECONDS, "s"),
        ("sampling_rate", sampling_rate, SAMPLING_RATES, "Hz"),
    ):
        if not (isinstance(value, (int, float, np.number)) and low <= value <= high):
            raise EcgclipError(f"{name} must be {low:g} to {high:g} {unit}, not {value!r}")


@dataclass(frozen=True)
class _Patient:
    """The parameters of one simulated patient, drawn by the seed.

    rate: ventricular beats a minute
    pr, qtc: ms
    breaths: Hz
    stretch: scales the QRS complex in time
    t_gain: scales the T wave in height
    mixing: (8, 8), turns and scales the leads
    """

    rate: float
    pr: float | None
    qtc: float
    age: int
    sex: str
    breaths: float
    stretch: float
    t_gain: float
    mixing: np.ndarray

    @staticmethod
    def draw(kind: Condition, rng: np.random.Generator) -> _Patient:
        frontal, horizontal = np.deg2rad(rng.normal(0, (7, 5)).clip(-14, 14))
        turn = _rotation(0, 1, frontal) @ _rotation(0, 2, horizontal)
        mixing = np.eye(8) + DOWER @ (turn - np.eye(3)) @ np.linalg.pinv(DOWER)
        gains = rng.uniform(0.9, 1.15) * rng.normal(1, [0, 0] + [0.05] * 6)  # chest electrodes are placed by hand
        rate, late, two_to_one = rng.uniform(*kind.rate), rng.random(), rng.random() < 0.25
        return _Patient(
            rate=rate * (2 if kind.rhythm == "flutter" and two_to_one else 1),
            pr=kind.pr and kind.pr[0] + late * (kind.pr[1] - kind.pr[0]),
            qtc=kind.qtc + rng.uniform(395, 420),
            age=int(rng.integers(*kind.age)),
            sex=str(rng.choice(["female", "male"])),
            breaths=rng.uniform(0.2, 0.3),
            stretch=rng.uniform(0.96, 1.04),
            t_gain=rng.uniform(0.9, 1.15),
            mixing=gains[:, None] * mixing,
        )

    def waves(self, name: str, scale: float = 1, gain: float = 1) -> Waves:
        """Rows of the table, scaled in time and in height, as a function of time."""
        return partial(_waves, WAVES[name] * ([scale] * 3 + [gain] * 8), self.mixing)

    def qt_ms(self, rr: float, name: str) -> float:
        """QT after an RR interval of `rr` seconds (Fridericia); a ventricular ectopic repolarises later."""
        return (self.qtc + 50 * (name == "pvc")) * np.clip(rr, 0.4, 1.8) ** (1 / 3)

    def p_wave(self) -> Waves:
        """The P wave as a function of time from its onset."""
        wave = self.waves("P")
        on, _ = _span(wave(GRID), 0.015)
        return lambda t: wave(t + on)

    def depolarisation(self, name: str) -> tuple[Waves, float]:
        """QRS of one beat as a function of time from its onset, and its duration in ms."""
        wave = self.waves(f"{name} QRS", self.stretch)
        on, off = _span(wave(GRID), 0.03)
        return lambda t: wave(t + on), off - on

    def complex(self, name: str, qt: float) -> Waves:
        """QRS and T of one beat as a function of time from the onset of QRS, with the given QT (ms)."""
        qrs, duration = self.depolarisation(name)
        scale = qt / _span(self.waves(f"{name} T")(GRID), 0.1, relative=True)[1]
        t_wave = self.waves(f"{name} T", scale, self.t_gain)
        # Repolarisation follows depolarisation: ST and T grow out of the last third of the QRS complex.
        return lambda t: qrs(t) + t_wave(t) / (1 + np.exp(-(t - 0.7 * duration) / 6))


def _rows(name: str) -> np.ndarray:
    """The rows of TABLE for "P" or for "normal QRS": float (waves, 3 times + 8 amplitudes)."""
    lines = [line.removeprefix(name).split() for line in TABLE.splitlines() if line.startswith(name + " ")]
    rows = np.array([line[:3] + line[4:12] for line in lines], float)
    beat, _, part = name.partition(" ")
    return np.vstack([_rows("normal QRS"), rows]) if beat in INFARCTS and part == "QRS" else rows


WAVES = {name: _rows(name) for name in re.findall(r"^(\w+ (?:QRS|T)|P) ", TABLE, re.MULTILINE)}


def _waves(rows: np.ndarray, mixing: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Gaussians of unequal flanks: rows (waves, 11), t ms (n,) -> mV (8, n)."""
    delay = np.asarray(t) - rows[:, :1]
    course = np.exp(-0.5 * (delay / np.where(delay < 0, rows[:, 1:2], rows[:, 2:3])) ** 2)
    return mixing @ rows[:, 3:].T @ course


def _span(waves: np.ndarray, threshold: float, relative: bool = False) -> tuple[float, float]:
    """First and last ms of GRID at which any lead of (8, n) exceeds the threshold (mV, or part of the peak)."""
    size = np.abs(waves).max(0)
    over = GRID[size > threshold * (size.max() if relative else 1)]
    return over[0], over[-1]


def _rotation(a: int, b: int, angle: float) -> np.ndarray:
    turn = np.eye(3)
    turn[[a, b], [a, b]] = np.cos(angle)
    turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
    return turn


def _schedule(
    kind: Condition, patient: _Patient, seconds: float, rng: np.random.Generator
) -> tuple[list[Beat], np.ndarray]:
    """The beats, and the onsets of P waves in s, from a second before the record to after its end."""
    rr, name, p_onsets = 60 / patient.rate, kind.beat, np.array([])
    count = int((seconds + 4) / rr * 1.2) + 4
    if kind.rhythm == "af":
        onsets = _onsets(rr * rng.gamma(18, 1 / 18, count).clip(0.55, 2), rng)
    elif patient.pr is not None:
        onsets = _sinus(rr, count, patient, rng)
        p_onsets = onsets - patient.pr / 1000
    else:
        onsets = _onsets(rr * rng.normal(1, 0.003, count), rng)
    if (
        kind.rhythm == "complete"
    ):  # the atria beat independently; the escape rhythm starts above or below the bifurcation
        p_onsets = _sinus(60 / rng.uniform(74, 88), 3 * count, patient, rng)
        name = str(rng.choice(["normal", "rbbb"]))
    beats = [(onset, name) for onset in onsets]
    if kind.rhythm == "pvc":
        return _with_premature_beats(beats, onsets, p_onsets, rr, rng)
    return beats, p_onsets


def _with_premature_beats(
    beats: list[Beat], onsets: np.ndarray, p_onsets: np.ndarray, rr: float, rng: np.random.Generator
) -> tuple[list[Beat], np.ndarray]:
    """Replace some sinus beats by early ventricular ones. The sinus rhythm is not reset; the P wave there is hidden."""
    beats, count = list(beats), len(beats)
    gaps = [rng.integers(1, 3), *rng.integers(3, 6, count)]
    ectopic = np.searchsorted(onsets, 0) + np.cumsum(gaps)
    ectopic = ectopic[ectopic < count]
    for i in ectopic:
        beats[i] = (onsets[i - 1] + rr * rng.normal(0.6, 0.015), "pvc")
    return beats, np.delete(p_onsets, ectopic)


def _onsets(intervals: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """When beats of such intervals begin, s: the first one 0.9 to 1.5 s before the record."""
    return np.cumsum(intervals) - intervals[0] - 1.5 + rng.uniform(0, 0.6)


def _sinus(rr: float, count: int, patient: _Patient, rng: np.random.Generator) -> np.ndarray:
    """Onsets of a sinus rhythm, s: it varies with respiration, and a little from beat to beat."""
    breath = np.sin(2 * np.pi * patient.breaths * rr * np.arange(count))
    return _onsets(rr * (1 + 0.025 * breath + rng.normal(0, 0.012, count)), rng)


def _add(signal: np.ndarray, time: np.ndarray, onset: float, waves: Waves, gain: float = 1.0) -> None:
    """Add `waves` from `onset` (s) on to `signal` (8, n) in place, where they are not zero."""
    window = slice(*np.searchsorted(time, (onset - 0.2, onset + 1.0)))
    signal[:, window] += gain * waves((time[window] - onset) * 1000)


def _add_beats(
    signal: np.ndarray,
    time: np.ndarray,
    beats: list[Beat],
    patient: _Patient,
    respiration: np.ndarray,
    sampling_rate: float,
    rng: np.random.Generator,
) -> None:
    """Add QRS and T of all beats, with the spikes of paced ones, to `signal` (8, n) in place.

    QT follows the R-R interval before a beat and the usual one; the height varies a little, and with respiration.
    """
    rr = 60 / patient.rate
    before = [beats[0][0] - rr] + [onset for onset, _ in beats[:-1]]
    for previous, (onset, name) in zip(before, beats, strict=True):
        qt = patient.qt_ms(0.7 * rr + 0.3 * (onset - previous), name)
        gain = rng.normal(1, 0.015) * (1 + 0.03 * np.interp(onset, time, respiration))
        _add(signal, time, onset, patient.complex(name, qt), gain)
        if name == "paced":  # at least one sample wide
            at = round((onset - SPIKE_BEFORE_S) * sampling_rate)
            width = max(1, round(SPIKE_S * sampling_rate))
            signal[:, max(at, 0) : max(at + width, 0)] += SPIKE[:, None]


def _atrial_waves(rhythm: str, patient: _Patient, time: np.ndarray, rng: np.random.Generator) -> np.ndarray | float:
    """Continuous atrial activity: float (8, samples) mV, or 0."""
    if rhythm == "flutter":  # a slow descent and a fast rise, locked to the ventricles 4:1 or 2:1
        phase = 2 * np.pi * time * patient.rate * round(300 / patient.rate) / 60 + rng.uniform(0, 2 * np.pi)
        return FLUTTER[:, None] * sum(np.sin(k * phase) / k for k in (1, 2, 3))
    if rhythm != "af":
        return 0
    waves = np.zeros((8, time.size))
    for pace in rng.uniform(5, 8, 4):  # wavelets that drift in rate and strength, each seen by the leads in its own way
        drift, swell = (np.sin(2 * np.pi * rng.uniform(0.1, 0.7) * time + rng.uniform(0, 2 * np.pi)) for _ in range(2))
        phase = 2 * np.pi * pace * time + 1.5 * drift + rng.uniform(0, 2 * np.pi)
        size = FIBRILLATION * rng.normal(1, 0.3, 8)
        waves += size[:, None] * (0.6 + 0.4 * swell) * (np.sin(phase) + 0.3 * np.sin(2 * phase))
    return waves


def _noise(
    heavy: bool, time: np.ndarray, respiration: np.ndarray, sampling_rate: float, rng: np.random.Generator
) -> np.ndarray:
    """Baseline wander and muscle as in a good recording, (8, samples) mV; `heavy` adds mains and electrode motion."""
    noise = rng.normal(0, 0.05 if heavy else 0.007, (8, time.size))
    slow = np.stack([np.sin(2 * np.pi * f * time + rng.uniform(0, 2 * np.pi)) for f in rng.uniform(0.05, 0.4, 4)])
    noise += (0.20 if heavy else 0.015) * rng.normal(0, 1, (8, 5)) @ np.vstack([slow, respiration])
    if heavy:
        if sampling_rate > 100:  # at 100 Hz and below, the mains would only appear as an alias
            noise += 0.08 * rng.uniform(0.4, 1.4, (8, 1)) * np.sin(2 * np.pi * 50 * time)
        for start in np.arange(rng.uniform(0.3, 1.5), time[-1], 2.5):  # an electrode slips and settles
            size = rng.normal(0, 0.7, (8, 1)) * (rng.random((8, 1)) < 0.3)
            noise += size * np.where(time < start, 0, np.exp(-np.maximum(time - start, 0) / rng.uniform(0.2, 0.6)))
    return noise


def _twelve(eight: np.ndarray) -> np.ndarray:
    """(8, n) in the order of the tables -> (12, n) in the order of LEADS."""
    one, two = eight[:2]
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *eight[2:]])


def _truth(patient: _Patient, beats: list[Beat], seconds: float) -> dict:
    """What a perfect measurement would find."""
    names = [name for onset, name in beats if 0 <= onset < seconds]
    name = max(names, key=names.count)
    waves = {each: patient.depolarisation(each)[0](GRID) for _, each in beats}
    peaks = np.array([onset + GRID[np.linalg.norm(waves[each], axis=0).argmax()] / 1000 for onset, each in beats])
    peaks = peaks[(peaks >= 0) & (peaks < seconds)]
    qt, qrs = patient.qt_ms(60 / patient.rate, name), patient.depolarisation(name)[1]
    st = _twelve(patient.complex(name, qt)(np.array([qrs + 60])))[:, 0]
    area = _twelve(waves[name]).sum(1)
    return {
        "heart_rate": float(60 / np.diff(peaks).mean()) if len(peaks) > 1 else patient.rate,
        "pr_ms": patient.pr,
        "qrs_ms": float(qrs),
        "qt_ms": float(qt),
        "axis_deg": float(np.rad2deg(np.arctan2(2 / np.sqrt(3) * area[LEADS.index("aVF")], area[0]))),
        "st_mv": dict(zip(LEADS, st.round(4).tolist(), strict=True)),
        "r_peaks_s": peaks.tolist(),
    }
