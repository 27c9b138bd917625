"""The waves of a heartbeat: a table of Gaussians, and their sum as a function of time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ecgclip.ecg import LEADS

Waves: TypeAlias = Callable[[np.ndarray], np.ndarray]  # ms (n,) -> mV (8, n)

# One wave a row: peak, rise and fall (SD) in ms | mV at the peak in each independent lead. Times count from the onset
# of the P wave for P, and from the beginning of the QRS complex for QRS and T (at a QT of about 390 ms).
TABLE = """
             peak rise fall |    I     II     V1     V2     V3     V4     V5     V6
normal P       36   15   16 |  0.04   0.09   0.06   0.05   0.04   0.04   0.03   0.03   right atrium: forward, down
normal P       68   16   17 |  0.05   0.08  -0.05  -0.01   0.02   0.03   0.03   0.03   left atrium: backward, left
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
anterior +QRS   24    9    9 |  0.00   0.00  -0.12  -0.42  -0.60  -0.50  -0.15   0.00   Q wave, beside the normal QRS
anterior T    185  105   75 |  0.07  -0.04   0.14   0.32   0.38   0.28   0.12   0.04   injury current
anterior T    275   60   44 |  0.16   0.10   0.14   0.55   0.68   0.58   0.34   0.18
inferior +QRS   22    8    9 |  0.06  -0.28   0.00   0.06   0.04   0.00  -0.05  -0.08
inferior T    185  105   75 | -0.08   0.24   0.02  -0.12  -0.10  -0.03   0.05   0.07
inferior T    275   60   44 | -0.06   0.38  -0.02   0.02   0.12   0.22   0.24   0.22
lateral +QRS    20    8    9 | -0.20   0.02   0.06   0.06   0.00  -0.08  -0.22  -0.26
lateral T     185  105   75 |  0.22   0.02  -0.09  -0.08   0.02   0.14   0.27   0.27
lateral T     275   60   44 |  0.32   0.08  -0.06   0.10   0.22   0.34   0.44   0.40
"""
# What the leads see of the heart's dipole: x to the left, y to the feet, z to the back.
DOWER_X = [0.632, 0.235, -0.515, 0.044, 0.882, 1.213, 1.125, 0.831]
DOWER_Y = [-0.235, 1.066, 0.157, 0.164, 0.098, 0.127, 0.127, 0.076]
DOWER_Z = [0.059, -0.132, -0.917, -1.387, -1.277, -0.601, -0.086, 0.230]
DOWER = np.column_stack([DOWER_X, DOWER_Y, DOWER_Z])
GRID = np.arange(-100.0, 900.0)  # ms around the beginning of a complex
NORMAL, BESIDE = "normal", "+"  # the beat whose waves stand in for those that another lacks; rows beside its QRS


def _rows(key: str) -> np.ndarray:
    """The rows of TABLE for "normal QRS": float (waves, 3 times + 8 amplitudes)."""
    lines = [line.removeprefix(key).split() for line in TABLE.splitlines() if line.startswith(key + " ")]
    return np.array([line[:3] + line[4:12] for line in lines], float)


ROWS = {key: _rows(key) for key in re.findall(r"^([\w-]+ \+?[A-Za-z]+) ", TABLE, re.MULTILINE)}


def beat_rows(name: str, part: str, severity: float = 1) -> np.ndarray:
    """The waves of one part of a beat, (waves, 11).

    Parameters
    ----------
    name : str
        The beat in the table.
    part : str
        P, Ta (atrial repolarisation), QRS, J (waves of the J point), T or U.
    severity : float
        0 to 1: rows beside the normal ones are lower by it, and P and T lie between the normal ones and their own.
    """
    normal = ROWS.get(f"{NORMAL} {part}", np.empty((0, 11)))
    own = ROWS.get(f"{name} {part}")
    beside = ROWS.get(f"{name} {BESIDE}{part}")
    if beside is not None:
        return np.vstack([normal, scaled(beside, gain=severity)])
    if own is None:
        return normal
    if severity == 1 or part == "QRS":
        return own
    return np.vstack([scaled(normal, gain=1 - severity), scaled(own, gain=severity)])


def scaled(rows: np.ndarray, scale: float = 1, gain: float = 1) -> np.ndarray:
    """Rows made longer by `scale` and higher by `gain`."""
    return rows * ([scale] * 3 + [gain] * 8)


def sum_of_waves(rows: np.ndarray, mixing: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Gaussians of unequal flanks: rows (waves, 11), t ms (n,) -> mV (8, n)."""
    delay = np.asarray(t) - rows[:, :1]
    course = np.exp(-0.5 * (delay / np.where(delay < 0, rows[:, 1:2], rows[:, 2:3])) ** 2)
    return mixing @ rows[:, 3:].T @ course


def span(waves: np.ndarray, threshold: float, relative: bool = False) -> tuple[float, float]:
    """First and last ms of GRID at which any lead of (8, n) exceeds the threshold (mV, or part of the peak)."""
    size = np.abs(waves).max(0)
    over = GRID[size > threshold * (size.max() if relative else 1)]
    return over[0], over[-1]


def twelve(eight: np.ndarray) -> np.ndarray:
    """(8, n) in the order of the table -> (12, n) in the order of LEADS."""
    one, two = eight[:2]
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, *eight[2:]])


def by_lead(values: np.ndarray) -> dict[str, float]:
    """(12,) mV -> {lead: mV}."""
    return dict(zip(LEADS, values.round(4).tolist(), strict=True))
