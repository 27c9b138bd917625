"""What `plot_ecgs` promises: true to scale, nothing where there is no signal, titles as they are, whole files only."""

import os
import sys
import warnings

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
from PIL import Image  # noqa: E402  comes with matplotlib

from ecgclip.ecg import ECG, LEADS, EcgclipError  # noqa: E402
from ecgclip.plot import plot_ecgs  # noqa: E402
from ecgclip.plot.page import DPI  # noqa: E402
from ecgclip.plot.paper import EDGE, FOOT, HEAD  # noqa: E402
from ecgclip.simulate import simulate  # noqa: E402

MM = DPI / 25.4  # pixels
LEFT, TITLE = 10, HEAD[0]  # mm
WIDTH = {1: 1375, 2: 2725}  # pixels, by columns


@pytest.fixture(scope="module")
def ecg():
    return simulate("normal", seed=1)


@pytest.fixture
def png(tmp_path):
    return tmp_path / "hits.png"


def one_lead(values, rate=100):
    return ECG(values, rate, ("I",))


def wave(hertz=1.0, seconds=10):
    """A cosine of 1 mV: its mirror images at the ends continue it, so that the filter leaves it alone."""
    return np.cos(2 * np.pi * hertz * np.arange(100 * seconds) / 100)


def trace(path):
    """bool (rows, columns): the ink right of the calibration pulse and the lead's name, between title and caption."""
    with Image.open(path) as image:
        dark = np.asarray(image.convert("L")) < 90
    return dark[round((TITLE + 1) * MM) : round(-15 * MM), round((EDGE + LEFT) * MM) :]


def assert_png(path, width):
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.width == width
        assert image.height > 200
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("count, columns", [(1, 1), (3, 1), (10, 2)])
def test_up_to_three_ecgs_stand_in_one_column_and_more_in_two(ecg, png, count, columns):
    plot_ecgs([ecg] * count, ["title"] * count, str(png))
    assert_png(png, WIDTH[columns])
    assert png.stat().st_size < 3e6


@pytest.mark.parametrize(
    "leads, seconds", [(("I",), 10), (("II", "V1"), 24), (("I", "II", "V2", "V5"), 10), (LEADS, 3)]
)
def test_any_leads_and_lengths_are_drawn(png, leads, seconds):
    full = simulate("pvc", seed=1, seconds=seconds, sampling_rate=250)
    plot_ecgs([ECG(full.signal[[LEADS.index(lead) for lead in leads]], 250, leads)], ["title"], png)
    assert_png(png, WIDTH[1])


def test_missing_signals_are_drawn_without_a_warning(ecg, png):
    signal = ecg.signal.copy()
    signal[6] = np.nan
    signal[:6] = 0
    signal[7, 1000:1500] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_ecgs([ECG(signal, 500, LEADS)], ["title"], png)
    assert_png(png, WIDTH[1])


def test_25_mm_a_second_and_10_mm_a_millivolt(png):
    plot_ecgs([one_lead(wave())], [""], png)
    ink = trace(png)[:, round(1.5 * 25 * MM) :]
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink[: np.argmax(ink.any(1)) + 2].any(0))
    assert np.ptp(rows) == pytest.approx(20 * MM, abs=3)
    crests = columns[np.r_[True, np.diff(columns) > 50]]
    assert len(crests) == 9
    assert np.diff(crests) == pytest.approx(25 * MM, abs=3)


def test_a_gap_stays_empty(png):
    values = wave()
    values[500:650] = np.nan
    plot_ecgs([one_lead(values)], ["title"], png)
    drawn = trace(png).any(0)
    assert not drawn[round(5.1 * 25 * MM) : round(6.4 * 25 * MM)].any()
    assert drawn[round(3 * 25 * MM) : round(4.9 * 25 * MM)].all()
    assert drawn[round(6.6 * 25 * MM) : round(9.9 * 25 * MM)].all()


def test_starts_picks_the_nearest_window(png):
    ecg = one_lead(np.concatenate([wave(1), wave(2), wave(3)]))

    def crossings(starts):
        plot_ecgs([ecg], ["title"], png, starts=starts)
        return np.diff(trace(png)[round(-25 * MM)].astype(int)).clip(0).sum()

    first, second, third = (crossings([start]) for start in (0, 9.0, 1000))
    assert first == crossings(None) == crossings([None])
    assert first < second < third


@pytest.mark.parametrize(
    "title", ["$x_1", "$\\frac{1$", "a" * 10_000, "one\ntwo\r\n\tthree", "", "心房細動 \udc80 \0 \u202e"]
)
def test_odd_titles_are_drawn_on_one_line_without_a_warning(png, title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_ecgs([one_lead(wave())], [title], png)
    assert Image.open(png).height == round((TITLE + 40 + EDGE + FOOT) * MM)
    assert_png(png, WIDTH[1])


@pytest.mark.parametrize("ending, start", [(".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_what_was_found_is_vectors_too(ecg, tmp_path, ending, start):
    plot_ecgs([ecg] * 4, ["title"] * 4, tmp_path / f"hits{ending}")
    content = (tmp_path / f"hits{ending}").read_bytes()
    assert content.startswith(start)
    assert b"<image" not in content and b"/Subtype /Image" not in content


def test_a_title_is_not_mathematics(tmp_path):
    ink = []
    for name, title in (("a.png", "$a$"), ("b.png", "a")):
        plot_ecgs([one_lead(wave())], [title], tmp_path / name)
        ink.append((np.asarray(Image.open(tmp_path / name).convert("L"))[: round(TITLE * MM)] < 90).sum())
    assert ink[0] > 2 * ink[1]  # the signs $ are there


def test_settings_of_matplotlib_are_not_changed_and_do_not_change_the_picture(png):
    def picture():
        plot_ecgs([one_lead(wave())], ["title"], png)
        return png.read_bytes()

    before, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    expected = picture()
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot
    theirs = {"text.usetex": True, "figure.autolayout": True, "savefig.bbox": "tight", "savefig.dpi": 30}
    with matplotlib.rc_context(theirs):
        assert picture() == expected


@pytest.mark.parametrize(
    "name, message",
    [
        ("hits.jpg", "hits.jpg: a picture is SVG, PDF or PNG: let the name end in .svg, .pdf or .png"),
        ("folder.png", "folder.png: is a folder: name a file in it that ends in .svg, .pdf or .png"),
        ("nowhere/hits.png", "nowhere/hits.png: cannot be written (No such file or directory)"),
        ("n" * 252 + ".png", "cannot be written (File name too long)"),
    ],
)
def test_a_bad_path_is_named(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(EcgclipError) as error:
        plot_ecgs([one_lead(wave())], ["title"], tmp_path / name)
    assert str(error.value).endswith(message)
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == ["folder.png"]


def test_a_failed_write_leaves_the_old_picture_and_nothing_else(png, monkeypatch):
    png.write_bytes(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(EcgclipError, match="No space left"):
        plot_ecgs([one_lead(wave())], ["title"], png)
    assert png.read_bytes() == b"old"
    assert os.listdir(png.parent) == [png.name]


def test_an_ecg_without_a_signal_is_named_and_writes_nothing(png):
    flat = ECG(np.zeros(1000), 100, ("I",), source="records/flat")
    with pytest.raises(EcgclipError, match="records/flat: every lead"):
        plot_ecgs([one_lead(wave()), flat], ["1", "2"], png)
    assert not os.listdir(png.parent)


@pytest.mark.parametrize("ecgs, titles, starts", [(0, 0, None), (41, 41, None), (2, 1, None), (2, 2, [0.0])])
def test_counts_that_do_not_fit_are_said(png, ecgs, titles, starts):
    with pytest.raises(EcgclipError, match="ECGs"):
        plot_ecgs([one_lead(wave())] * ecgs, ["title"] * titles, png, starts=starts)


def test_without_matplotlib_the_message_says_what_to_install(png, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(EcgclipError) as error:
        plot_ecgs([one_lead(wave())], ["title"], png)
    assert str(error.value) == 'plots need matplotlib: pip install "ecgclip[plot]"'
