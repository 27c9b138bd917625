"""XML files of ECGs for tests: how they are read, damaged, and compared with a second reading."""

import re
import warnings
from random import Random

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File
from ecgclip.io.recording import make_ecg

ODD = (b"", b"nan", b"1e999", b"-1", b"0", b"99999999999999999999", b"x", b"\xff", b"<a/>", b"&#0;", b"1,2,,3", b"4,5")


def ecg_of(read, text, name="f.xml"):
    """The ECG in a document, by one reader."""
    data = text if isinstance(text, bytes) else text.encode()
    return make_ecg(read(File(name, data)), name)


def damaged(data, n, seed=0):
    """`n` copies of a document, each with some of its bytes, texts, attributes or elements changed."""
    random = Random(seed)
    places = [m.span(1) for m in re.finditer(rb'>([^<>]+)<|="([^"]*)"', data) if m[1] is not None]
    places += [m.span(1) for m in re.finditer(rb'="([^"]*)"', data)]
    elements = [m.span() for m in re.finditer(rb"<(\w+)[^<>]*>[^<]*</\1>", data)]
    for _ in range(n):
        copy = bytearray(data)
        for _ in range(random.choice((1, 1, 2, 5))):
            start, end = random.choice(random.choice((places, places, elements)))
            kind = random.randrange(6)
            if kind < 3:
                copy[start:end] = random.choice(ODD)
            elif kind == 3:
                copy[start:start] = copy[slice(*random.choice(elements))]
            elif kind == 4 and copy:
                copy[random.randrange(len(copy))] = random.randrange(256)
            elif random.random() < 0.2:
                del copy[random.randrange(len(copy) + 1) :]
        yield bytes(copy)


def check_damage(read, data, n=100):
    """Every damaged copy is read, or refused in one line that begins with the name of the file."""
    for copy in damaged(data, n):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is assumed
                ecg_of(read, copy)
        except EcgclipError as error:
            assert str(error).startswith("f.xml: ")
            assert "\n" not in str(error)


def check_reference(ecg, path, least_mv):
    """An ECG equals the second reading of its file within half a least significant bit."""
    with np.load(f"{path}.ref.npz") as reference:
        assert ecg.sampling_rate == float(reference["fs"])
        assert sorted(ecg.leads) == sorted(map(str, reference["leads"]))
        rows = [ecg.leads.index(str(lead)) for lead in reference["leads"]]
        assert ecg.signal.shape == reference["signal"].shape
        assert np.abs(ecg.signal[rows] - reference["signal"]).max() < least_mv / 2
