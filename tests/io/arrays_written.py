"""What tests of tables and arrays share: an ECG to write, and what a mutated file may do."""

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.formats import format_of

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def smooth(leads=12, seconds=4, rate=500):
    """Leads (leads, samples) in mV that rise and fall as complexes do, rounded to µV."""
    t = np.arange(seconds * rate) / rate
    beat = np.exp(-(((t % 0.8) - 0.4) ** 2) / 0.0008)
    wave = 0.1 * np.sin(2 * np.pi * 0.7 * t)
    i, ii = beat + wave, 1.4 * beat - wave
    limb = [i, ii, ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2]
    chest = [(k / 3 - 1.1) * beat + 0.5 * wave for k in range(6)]
    return np.round([*limb, *chest], 3)[:leads]


def read(data, name="file", index=None):
    """The recording that the reader of the file's format gives."""
    file = File(name, data)
    return format_of(file).read(file, index)


def samples(recording):
    return np.array([channel.samples for channel in recording.channels])


def check_mutations(data, reader, seed, times=120):
    """Read `data` damaged in many ways: a recording, or one line that begins with the file's name."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        broken = mutated(data, rng)
        try:
            reader(File("broken", broken))
        except EcgclipError as error:
            assert str(error).startswith("broken") and "\n" not in str(error)


def mutated(data, rng):
    """Bytes with some of them changed, cut out, repeated or set to the largest number."""
    broken = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(0, max(len(broken), 1)))
        if rng.random() < 0.5:
            at = min(at, int(rng.integers(0, 400)))  # where headers are
        kind = rng.integers(0, 5)
        if kind == 0:
            broken[at : at + 1] = bytes([rng.integers(0, 256)])
        elif kind == 1:
            del broken[at : at + int(rng.integers(1, 64))]
        elif kind == 2:
            broken[at:at] = broken[at : at + int(rng.integers(1, 64))]
        elif kind == 3:
            broken[at : at + 4] = b"\xff\xff\xff\x7f"
        else:
            del broken[at + int(rng.integers(0, 200)) :]
    return bytes(broken) or b"\0"


def refused(match):
    return pytest.raises(EcgclipError, match=match)
