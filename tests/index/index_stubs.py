"""What the tests of the index share.

Two archives: simulated ECGs through the real (tiny) model, and stubs of 2 s whose first samples *are* their vector, so
that a test chooses which records lie close to each other.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.index.archive import ECGIndex

DIM = 32
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def as_signal(vectors):
    """(windows, DIM) → (1, windows * 200) mV"""
    vectors = np.atleast_2d(vectors)
    signal = np.zeros((len(vectors), 200))
    signal[:, :DIM] = vectors
    return signal.reshape(1, -1)


def as_vectors(ecg):
    vectors = ecg.signal.reshape(-1, 200)[:, :DIM]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def on_circle(degrees):
    """Unit vectors that lie as far apart as their angles do."""
    angle = np.deg2rad(np.asarray(degrees, float))
    return np.stack([np.cos(angle), np.sin(angle), *[0 * angle] * (DIM - 2)], -1)


NORTH = ECG(as_signal(on_circle(-20)), 100, ("II",))  # to ask with; nearer than 20°, half precision tells no degrees


def stub(folder, name, vectors, age=None, sex=None):
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    signal = np.round(as_signal(vectors) * 10_000).astype("<i2")
    comments = [f"# Age: {age}\n"] * (age is not None) + [f"# Sex: {sex}\n"] * (sex is not None)
    path.with_suffix(".hea").write_text(
        f"{path.name} 1 100 {signal.size}\n{path.name}.dat 16 10000/mV 16 0 0 0 0 II\n{''.join(comments)}"
    )
    path.with_suffix(".dat").write_bytes(signal.tobytes())
    return str(path)


def stubs(folder, angles, first=0):
    """Records r00, r01 …, one at each angle."""
    return [stub(folder, f"r{i:02}", on_circle(angle)) for i, angle in enumerate(angles, first)]


def build(paths, folder, model, **options):
    paths = paths if isinstance(paths, list) else [paths]
    return ECGIndex.build(paths, folder, model=model, **{"workers": 1, **options})


def names(hits):
    return [Path(hit.record).name for hit in hits]


def everything(index):
    """All records that an index holds, by their angle."""
    return names(index.search(like=NORTH, k=1000))


def files(folder):
    return sorted(f.name for f in Path(folder).iterdir())


def one_line(action, *words):
    """The one line that an action ends in."""
    with pytest.raises(EcgclipError) as error:
        action()
    line = str(error.value)
    assert "\n" not in line, line
    assert len(line) < 600, line
    assert all(word in line for word in words), line
    return line


def in_child(action):
    """Run in a fork and return its process. Threads of FAISS do not survive a fork, so that the child uses none."""
    pid = os.fork()
    if not pid:
        try:
            import faiss

            faiss.omp_set_num_threads(1)
            action()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(1)
    return pid
