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
anterior T       95   30   35 |  0.03  -0.02   0.06   0.14   0.17   0.13   0.05   0.02   from the J point on
anterior T    185  105   75 |  0.07  -0.04   0.14   0.32   0.38   0.28   0.12   0.04   injury current
anterior T    275   60   44 |  0.16   0.10   0.14   0.55   0.68   0.58   0.34   0.18
inferior +QRS   22    8    9 |  0.06  -0.28   0.00   0.06   0.04   0.00  -0.05  -0.08
inferior T       95   30   35 | -0.04   0.11   0.01  -0.05  -0.05  -0.01   0.02   0.03
inferior T    185  105   75 | -0.08   0.24   0.02  -0.12  -0.10  -0.03   0.05   0.07
inferior T    275   60   44 | -0.06   0.38  -0.02   0.02   0.12   0.22   0.24   0.22
lateral +QRS    20    8    9 | -0.20   0.02   0.06   0.06   0.00  -0.08  -0.22  -0.26
lateral T        95   30   35 |  0.10   0.01  -0.04  -0.04   0.01   0.06   0.12   0.12
lateral T     185  105   75 |  0.22   0.02  -0.09  -0.08   0.02   0.14   0.27   0.27
lateral T     275   60   44 |  0.32   0.08  -0.06   0.10   0.22   0.34   0.44   0.40
wpw-left +QRS      3  15   22 | -0.10   0.24   0.28   0.40   0.36   0.30   0.18   0.08   delta wave, left pathway
wpw-left +QRS     34  10   12 | -0.10   0.05   0.70   0.60   0.20   0.00  -0.20  -0.30
wpw-left T       255  80   45 |  0.05   0.00  -0.08  -0.08   0.02   0.04   0.05   0.05
wpw-left T       292  46   36 |  0.22   0.06  -0.15  -0.15   0.08   0.20   0.26   0.26
wpw-right +QRS     3  15   22 |  0.26   0.06  -0.06   0.06   0.14   0.30   0.34   0.30   right free wall
wpw-right +QRS    40  12   14 |  0.30  -0.45  -0.50  -0.90  -0.80  -0.20   0.20   0.30
wpw-right T      285  90   45 | -0.12   0.14   0.15   0.38   0.32   0.05  -0.14  -0.16
wpw-septal +QRS    3  15   22 |  0.22  -0.32  -0.03   0.34   0.40   0.40   0.34   0.28   posteroseptal
wpw-septal +QRS   34  12   12 |  0.15  -0.30   0.10   0.40   0.30   0.20   0.10   0.10
wpw-septal T     285  70   42 |  0.03   0.32   0.02   0.10   0.08   0.04   0.02   0.02
lqt1 T           245  85   52 |  0.26   0.36   0.02   0.40   0.50   0.48   0.40   0.28   one broad T
lqt2 T           235  45   28 |  0.09   0.12   0.02   0.16   0.20   0.18   0.13   0.09   low and notched
lqt2 T           320  30   27 |  0.09   0.12  -0.02   0.15   0.19   0.18   0.13   0.09
lqt3 T           335  27   24 |  0.20   0.30  -0.04   0.36   0.42   0.40   0.34   0.24   late and narrow
short T          205  38   34 |  0.28   0.45   0.00   0.65   0.80   0.70   0.52   0.34
hypercalcemia T  195  62   52 |  0.20   0.28  -0.03   0.30   0.36   0.35   0.30   0.22   no ST segment
hypocalcemia T   335  32   27 |  0.16   0.22  -0.03   0.22   0.27   0.26   0.22   0.16   a long ST segment
hyperkalemia T   290  38   32 |  0.32   0.55   0.10   0.85   1.15   1.15   0.85   0.52   a tent
hypokalemia T    180  70   60 | -0.06  -0.09   0.00  -0.05  -0.09  -0.11  -0.10  -0.08
hypokalemia T    290  46   36 |  0.05   0.06  -0.02   0.08   0.09   0.09   0.07   0.05
hypokalemia U    430  40   48 |  0.06   0.11   0.03   0.24   0.27   0.23   0.15   0.09
posterior +QRS    36  12   15 |  0.00   0.00   0.60   0.85   0.35   0.00  -0.10  -0.15
posterior T      120  45   60 |  0.01   0.01  -0.11  -0.17  -0.17  -0.09   0.02   0.03   seen from the front
posterior T      195  60   50 |  0.01   0.02  -0.10  -0.16  -0.16  -0.08   0.02   0.04
posterior T      300  36   36 |  0.15   0.22   0.22   0.55   0.52   0.35   0.22   0.18
old-posterior +QRS 36 12   15 |  0.00   0.00   0.65   0.95   0.40   0.00  -0.10  -0.15
old-posterior T  290  46   36 |  0.16   0.22   0.16   0.50   0.50   0.36   0.25   0.18
old-anterior +QRS 14   9    9 |  0.00   0.00  -0.22  -0.40  -0.16  -0.12   0.00   0.00   the septum is lost
old-anterior +QRS 34  10   10 |  0.00   0.00  -0.20  -0.35  -1.00  -1.65  -0.45  -0.10
old-anterior T   285  60   40 |  0.10   0.15  -0.05  -0.22  -0.32  -0.30  -0.12   0.05
old-inferior +QRS 22  12   10 |  0.05  -0.72   0.00   0.05   0.05   0.00   0.00  -0.05
old-inferior T   290  46   38 |  0.20  -0.10   0.00   0.30   0.32   0.30   0.22   0.15
old-lateral +QRS  22  12   10 | -0.48  -0.05   0.15   0.20   0.05  -0.20  -0.75  -0.70
old-lateral T    290  46   38 | -0.13   0.08   0.08   0.35   0.35   0.10  -0.13  -0.15
subendocardial T 115  40   55 | -0.09  -0.12   0.05  -0.04  -0.13  -0.18  -0.18  -0.13
subendocardial T 195  55   42 | -0.08  -0.11   0.04  -0.04  -0.12  -0.17  -0.17  -0.12
subendocardial T 292  38   34 |  0.09   0.13   0.03   0.20   0.18   0.11   0.08   0.06
left-main T      115  40   60 | -0.17  -0.22   0.12  -0.12  -0.25  -0.32  -0.32  -0.25
left-main T      195  60   44 | -0.15  -0.20   0.10  -0.10  -0.22  -0.30  -0.30  -0.23
left-main T      295  36   34 |  0.06   0.08   0.08   0.15   0.12   0.06   0.04   0.04
t-anterior T     290  50   38 |  0.08   0.18  -0.12  -0.30  -0.38  -0.34  -0.16   0.02
t-inferior T     290  50   38 |  0.20  -0.14   0.02   0.28   0.30   0.28   0.20   0.12
t-lateral T      290  50   38 | -0.16   0.08   0.10   0.30   0.26  -0.05  -0.22  -0.23
t-global T       290  50   38 | -0.14  -0.17   0.04  -0.12  -0.24  -0.28  -0.24  -0.18
wellens-a T      235  62   34 |  0.06   0.08   0.06   0.24   0.28   0.18   0.10   0.06   biphasic
wellens-a T      312  30   30 |  0.09   0.11  -0.08  -0.34  -0.42  -0.22   0.02   0.08
wellens-b T      292  48   40 |  0.05   0.10  -0.16  -0.55  -0.80  -0.72  -0.36  -0.08   deep and symmetric
de-winter T      100  32   48 | -0.05  -0.09  -0.05  -0.20  -0.28  -0.28  -0.20  -0.12   from a low J up into T
de-winter T      262  58   46 |  0.10   0.12   0.18   0.80   1.05   0.95   0.62   0.30
hyperacute T     230  90   50 |  0.08   0.08   0.10   0.35   0.40   0.34   0.20   0.08   broad and tall
hyperacute T     275  62   46 |  0.10   0.12   0.20   0.85   1.05   0.95   0.60   0.25
pericarditis Ta  118  30   60 | -0.03  -0.07   0.00  -0.02  -0.03  -0.05  -0.06  -0.05   PR depression
pericarditis T   150  90   90 |  0.12   0.20  -0.02   0.13   0.18   0.19   0.18   0.15
pericarditis T   290  48   36 |  0.13   0.18   0.00   0.24   0.28   0.26   0.20   0.14
early J            2   9   11 |  0.05   0.11   0.00   0.02   0.08   0.18   0.16   0.12   notch
early T          200 100   60 |  0.04   0.07   0.02   0.20   0.24   0.21   0.14   0.09
early T          298  46   36 |  0.20   0.30   0.00   0.48   0.62   0.60   0.46   0.30
brugada-1 J        0  12   55 | -0.02  -0.02   0.34   0.46   0.14   0.02   0.00   0.00   coved
brugada-1 T      292  46   36 |  0.18   0.25  -0.22  -0.24   0.20   0.32   0.27   0.20
brugada-2 J        0  10   20 | -0.02  -0.02   0.10   0.26   0.06   0.00   0.00   0.00   saddleback
brugada-2 T      175 110   70 |  0.02   0.02   0.05   0.20   0.10   0.04   0.03   0.03
brugada-2 T      295  44   36 |  0.18   0.25   0.04   0.36   0.36   0.32   0.27   0.20
osborn J           8  10   19 |  0.11   0.22  -0.05   0.14   0.28   0.44   0.42   0.30
rvh QRS           14   8    8 |  0.06   0.00   0.16   0.10   0.05   0.05  -0.03  -0.03
rvh QRS           36  10   10 | -0.35   0.58   0.98   0.62   0.52   0.62   0.48   0.36
rvh QRS           58  11   12 | -0.48  -0.10  -0.12  -0.42  -0.65  -0.80  -0.80  -0.68
rvh T            180  80   65 |  0.00  -0.05  -0.06  -0.08  -0.05   0.00   0.01   0.01   strain
rvh T            290  50   36 |  0.10   0.04  -0.20  -0.26  -0.20  -0.05   0.10   0.12
lafb QRS          13   8    8 | -0.08   0.20   0.12   0.20   0.06   0.04  -0.03  -0.04   down, then up and left
lafb QRS          40  11   11 |  0.78  -0.25  -0.60  -0.60   0.30   0.90   1.05   0.88
lafb QRS          63  12   13 |  0.22  -0.62  -0.30  -0.90  -0.85  -0.75  -0.50  -0.34
lafb T           292  56   38 |  0.18   0.22  -0.02   0.28   0.34   0.32   0.26   0.19
lpfb QRS          13   8    8 |  0.16  -0.12   0.12   0.26   0.12   0.08  -0.02  -0.03   up and left, then down
lpfb QRS          42  11   11 | -0.42   0.92  -0.60  -0.40   0.60   1.30   1.28   0.95
lpfb QRS          62  11   12 | -0.26   0.24  -0.32  -1.00  -0.82  -0.50  -0.28  -0.18
bifascicular QRS  13   8    8 | -0.08   0.20   0.22   0.26   0.08   0.04  -0.03  -0.04
bifascicular QRS  40  11   11 |  0.78  -0.25  -0.34  -0.30   0.40   0.90   1.05   0.88
bifascicular QRS  63  12   13 |  0.16  -0.62  -0.20  -0.55  -0.60  -0.65  -0.48  -0.34
bifascicular QRS  92  16   18 | -0.30  -0.02   0.85   0.50   0.05  -0.22  -0.34  -0.34
bifascicular T   305  60   38 |  0.20   0.22  -0.18  -0.12   0.06   0.20   0.25   0.22
irbbb +QRS        72  10   11 | -0.14  -0.08   0.40   0.18   0.02  -0.08  -0.14  -0.15
poor-r +QRS       34   9    9 |  0.00   0.00   0.10  -0.20  -0.74  -1.15  -0.45  -0.10
digitalis T      135  55   60 | -0.06  -0.09   0.02  -0.02  -0.08  -0.11  -0.12  -0.10   scooped
digitalis T      190  50   45 | -0.05  -0.09   0.01  -0.02  -0.07  -0.11  -0.11  -0.09
digitalis T      292  30   30 |  0.10   0.13   0.00   0.16   0.19   0.16   0.11   0.08
embolism +QRS     18   9    8 |  0.10  -0.16   0.00   0.00   0.00   0.00   0.05   0.05   Q in III
embolism +QRS     58  12   13 | -0.42   0.00   0.12   0.00   0.00  -0.12  -0.24  -0.30   S in I
embolism T       290  50   38 |  0.18   0.02  -0.16  -0.30  -0.28  -0.16   0.06   0.12
sgarbossa T      135  75   90 |  0.20   0.06   0.28   0.30   0.20   0.18   0.24   0.24   up where QRS is up
sgarbossa T      300  70   42 |  0.20   0.12   0.30   0.46   0.44   0.28   0.28   0.28
rv-infarct T     95   30   35 | -0.05   0.11   0.11   0.02  -0.03  -0.02   0.01   0.02
rv-infarct T     185 105   75 | -0.10   0.24   0.24   0.04  -0.06  -0.04   0.02   0.04
rv-infarct T     275  60   44 | -0.08   0.38   0.12   0.10   0.12   0.20   0.22   0.20
high-lateral T   95   30   35 |  0.09  -0.04  -0.02  -0.03   0.00   0.01   0.02   0.02
high-lateral T   185 105   75 |  0.20  -0.08  -0.05  -0.06   0.00   0.02   0.05   0.05
high-lateral T   275  60   44 |  0.30   0.02  -0.02   0.20   0.30   0.30   0.22   0.16
aneurysm T       185 105   75 |  0.02   0.03   0.17   0.34   0.36   0.28   0.10   0.03
aneurysm T       290  46   38 |  0.06   0.10   0.03   0.08   0.06   0.04   0.06   0.06
apical T         175  80   70 | -0.06  -0.04   0.06   0.02  -0.08  -0.12  -0.10  -0.06
apical T         290  62   40 | -0.24  -0.18   0.12  -0.20  -0.85  -1.15  -0.85  -0.42   giant
cerebral T       285  95   55 | -0.28  -0.34   0.05  -0.45  -0.80  -0.90  -0.70  -0.42   wide and deep
pvc-lv QRS        44  17   20 | -0.30  -0.55   0.70   0.75   0.60   0.20  -0.20  -0.50   from the left ventricle
pvc-lv QRS        86  24   24 | -0.25  -0.85   0.65   0.80   0.50   0.00  -0.50  -0.70
pvc-lv T         240  80   60 |  0.10   0.20  -0.20  -0.25  -0.15   0.00   0.15   0.20
pvc-lv T         320  58   40 |  0.15   0.35  -0.30  -0.40  -0.25   0.05   0.25   0.30
lae P             34  15   16 |  0.04   0.09   0.06   0.05   0.04   0.04   0.03   0.03
lae P             88  16   18 |  0.08   0.09  -0.14  -0.05   0.02   0.04   0.05   0.05   late, left and back
rae P             38  15   16 |  0.03   0.27   0.18   0.15   0.09   0.07   0.05   0.04
rae P             66  15   16 |  0.04   0.07  -0.04   0.00   0.02   0.03   0.03   0.03
biatrial P        38  15   16 |  0.03   0.27   0.18   0.15   0.09   0.07   0.05   0.04
biatrial P        88  16   18 |  0.09   0.10  -0.15  -0.05   0.02   0.04   0.05   0.05
ectopic P         32  13   15 |  0.02  -0.10   0.04   0.03   0.00  -0.02  -0.03  -0.03   from below
ectopic P         60  14   15 |  0.01  -0.09   0.06   0.04   0.02   0.00  -0.02  -0.02
retrograde P      28  11   12 |  0.00  -0.14   0.10   0.05   0.00  -0.03  -0.04  -0.04
"""
# What the leads see of the heart's dipole: x to the left, y to the feet, z to the back.
DOWER_X = [0.632, 0.235, -0.515, 0.044, 0.882, 1.213, 1.125, 0.831]
DOWER_Y = [-0.235, 1.066, 0.157, 0.164, 0.098, 0.127, 0.127, 0.076]
DOWER_Z = [0.059, -0.132, -0.917, -1.387, -1.277, -0.601, -0.086, 0.230]
DOWER = np.column_stack([DOWER_X, DOWER_Y, DOWER_Z])
GRID = np.arange(-100.0, 900.0)  # ms around the beginning of a complex
# Beats with the QRS of another one than the normal beat
LIKE = {
    "sgarbossa": "lbbb",
    "rv-infarct": "inferior",
    "high-lateral": "lateral",
    "aneurysm": "old-anterior",
    "apical": "lvh",
}
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
    if part == "QRS":
        name = LIKE.get(name, name)
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
