"""What `plot` promises: true to scale, every sample as recorded, gaps as gaps, text as text, marks where they were
measured, and nobody's name."""

import re
import sys
import warnings

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from pictures import Picture  # noqa: E402

from ecgclip.ecg import ECG, LEADS, EcgclipError  # noqa: E402
from ecgclip.measure import examine  # noqa: E402
from ecgclip.plot import plot  # noqa: E402
from ecgclip.plot.layout import arrange  # noqa: E402
from ecgclip.plot.page import A4  # noqa: E402
from ecgclip.simulate import simulate  # noqa: E402

ALL = ("peaks", "waves", "st")


@pytest.fixture(scope="module")
def ecg():
    return simulate("normal", seed=1)


@pytest.fixture
def draw(tmp_path):
    """draw(ecg, **options) → the Picture."""

    def draw(ecg, **options):
        plot(ecg, tmp_path / "ecg.svg", **options)
        return Picture(tmp_path / "ecg.svg")

    return draw


def part(ecg, leads, seconds=None):
    stop = None if seconds is None else round(seconds * ecg.sampling_rate)
    return ECG(ecg.signal[[LEADS.index(lead) for lead in leads]][:, :stop], ecg.sampling_rate, leads, ecg.metadata)


# --- the trace --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [25, 50])
@pytest.mark.parametrize("gain", [5, 10, 20])
def test_a_millivolt_and_a_second_are_as_long_as_the_paper_says(draw, speed, gain):
    values = np.zeros(2000)
    values[600], values[1100] = 1.0, -0.5  # 1 s apart
    picture = draw(ECG(values, 500, ("II",)), seconds=4, speed=speed, gain=gain)
    (line,) = picture.lines("trace-II")
    assert np.ptp(line[:, 1]) == pytest.approx(1.5 * gain, abs=1e-3)
    assert line[:, 0][line[:, 1].argmin()] - line[:, 0][line[:, 1].argmax()] == pytest.approx(speed, abs=1e-3)
    (pulse,) = picture.lines("calibration")
    assert np.ptp(pulse[:, 1]) == pytest.approx(gain, abs=1e-3)
    assert pulse[3, 0] - pulse[2, 0] == pytest.approx(0.2 * speed, abs=1e-3)
    assert pulse[:, 0].min() >= 5  # on the paper
    assert f"{speed} mm/s, {gain} mm/mV" in " ".join(picture.texts)


@pytest.mark.parametrize("rate", [100, 250, 360, 1000])
def test_every_sample_is_there_as_it_was_recorded(draw, rate):
    wander = np.sin(np.arange(6 * rate) / rate) + 0.05 * np.random.default_rng(0).standard_normal(6 * rate) - 3
    (line,) = draw(ECG(wander, rate, ("V1",)), seconds=6).lines("trace-V1")
    assert len(line) == 6 * rate
    assert np.diff(line[:, 0]) == pytest.approx(25 / rate, abs=1e-3)
    assert np.diff(line[:, 1]) / 10 == pytest.approx(np.diff(wander), abs=1e-4)


def test_computed_leads_follow_from_the_two_that_were_recorded(draw, ecg):
    lines = {}
    picture = draw(part(ecg, ("I", "III", "V1", "V2")), layout="12x1")
    for lead in ("II", "aVF"):
        (lines[lead],) = picture.lines(f"trace-{lead}-")
        expected = ecg.signal[LEADS.index(lead)]
        assert np.diff(lines[lead][:, 1]) / 10 == pytest.approx(np.diff(expected), abs=2e-3)
    assert "computed: II, aVR, aVL, aVF" in " ".join(picture.texts)
    assert not picture.lines("trace-V5")


def test_a_gap_stays_a_gap(draw, ecg):
    signal = ecg.signal.copy()
    signal[1, 2500:2750] = np.nan
    picture = draw(ECG(signal, 500, LEADS), layout="II,V1")
    before, after = picture.lines("trace-II-")
    assert len(before) == 2500
    assert after[0, 0] - before[-1, 0] == pytest.approx(25 * 251 / 500, abs=1e-3)
    assert len(picture.lines("trace-V1-")) == 1


def test_filtered_is_what_is_measured_and_else_the_hum_is_there(draw, ecg):
    hum = ecg.signal + 0.2 * np.sin(2 * np.pi * 50 * np.arange(5000) / 500).astype(np.float32)
    for filtered, samples, difference in ((False, 5000, 2), (True, 1000, 0)):
        clean, noisy = (
            draw(ECG(signal, 500, LEADS), layout="II", filtered=filtered).lines("trace-II")[0][:, 1]
            for signal in (ecg.signal, hum)
        )
        assert len(clean) == len(noisy) == samples
        inside = slice(samples // 10, -samples // 10)
        assert np.abs((noisy - clean)[inside]).max() == pytest.approx(difference, abs=0.5)


# --- the layout -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layout, strips", [("3x4", 13), ("3x4+0", 12), ("3x4+3", 15), ("3x4+V1,V5", 14), ("6x2", 12), ("12x1+1", 13)]
)
def test_grids_have_every_lead_and_the_rhythm_strips(draw, ecg, layout, strips):
    picture = draw(ecg, layout=layout)
    assert len(picture.names("trace-")) == strips
    assert set(LEADS) <= set(picture.texts)


def test_a_long_lead_goes_on_in_the_next_line(draw):
    values = np.arange(60 * 100) % 100 / 100
    picture = draw(ECG(values, 100, ("II",)), start=20, seconds=25)
    assert [len(line) for line in picture.lines("trace-II")] == [1000, 1000, 500]
    assert {"II", "II from 30 s", "II from 40 s"} <= set(picture.texts)
    assert any("20 to 45 s of 60 s" in text for text in picture.texts)


def test_one_lead_few_leads_and_short_records(draw, ecg):
    assert draw(part(ecg, ("aVR",))).names("trace-") == ["trace-aVR-0"]
    assert draw(part(ecg, ("V5", "II"))).names("trace-") == ["trace-II-0", "trace-V5-1"]
    short = draw(part(ecg, LEADS, 2.5), show=ALL)
    assert all(len(line) == 1250 for line in short.lines("trace-"))
    assert "V1 from 0 s" in short.texts


@given(
    st.sampled_from(["3x4", "3x4+3", "6x2", "12x1", "II,V5", "V1"]),
    st.floats(0, 1e5),
    st.floats(0.5, 30),
    st.sampled_from([25, 50]),
)
@settings(max_examples=60, deadline=None)
def test_a_layout_shows_each_moment_on_the_marked_strips_once(layout, start, seconds, speed):
    strips = arrange(layout, LEADS, start, seconds, start + seconds, speed)
    marked = sorted((s for s in strips if s.marked), key=lambda s: s.first)
    assert marked[0].first == start
    for one, other in zip(marked, marked[1:], strict=False):
        assert one.first + one.seconds == pytest.approx(other.first)
    assert marked[-1].first + marked[-1].seconds == pytest.approx(start + seconds)


# --- layers -----------------------------------------------------------------------------------------------------------


def test_the_ecg_alone_has_no_marks(draw, ecg):
    picture = draw(ecg)
    assert not picture.names("beat") and not picture.names("interval") and not picture.names("shade")


def test_beats_stand_over_their_r_peaks_with_their_letter(draw):
    ecg = simulate("pvc", seed=1)
    picture = draw(ecg, show=("peaks",), layout="3x4")
    examined = examine(ecg)
    start = picture.lines("trace-II-3")[0][0, 0]
    at = sorted(line[0, 0] for line in picture.lines("beat-"))
    assert at == pytest.approx(start + 25 * examined.heartbeats.times_s, abs=0.01)
    wide = examined.measurements[0].table.wide
    assert len(picture.names("beat-V")) == wide.sum() > 0
    assert {"V", "N"} <= set(picture.texts)


def test_the_intervals_of_a_beat_are_as_long_as_they_were_measured(draw, ecg):
    picture = draw(ecg, show=("waves",))
    (m,) = examine(ecg).measurements
    for name, value in (("PR", m.pr_ms), ("QRS", m.qrs_ms), ("QT", m.qt_ms)):
        bar = picture.lines(f"interval-{name}")[0]
        assert np.ptp(bar[:, 0]) == pytest.approx(25 * value / 1000, abs=1e-3)
        assert f"{name} {value:.0f}" in picture.texts
    qrs, qt = picture.lines("interval-QRS")[0], picture.lines("interval-QT")[0]
    assert qrs[:, 0].min() == qt[:, 0].min()
    trace = picture.lines("trace-II-3")[0]
    inside = trace[(trace[:, 0] > qrs[:, 0].min()) & (trace[:, 0] < qrs[:, 0].max())]
    beat = trace[(trace[:, 0] > qrs[:, 0].min() - 5) & (trace[:, 0] < qt[:, 0].max())]
    assert inside[:, 1].max() == beat[:, 1].max()  # R lies between the marks
    assert any(f"QRS {m.qrs_ms:.0f} ms" in text and "Fridericia" in text for text in picture.texts)


def test_st_stands_beside_each_lead(draw, ecg):
    picture = draw(ecg, show=("st",), layout="12x1")
    (m,) = examine(ecg).measurements
    said = [text for text in picture.texts if text.startswith("ST ")]
    assert said == [f"ST {round(float(v), 2) + 0.0:+.2f}".replace("-", "−") for v in m.st_mv]


def test_a_label_lights_up_what_its_criteria_read(draw):
    picture = draw(simulate("inferior-stemi", seed=3), label="inferior STEMI", layout="12x1")
    shaded = {name.split("-")[1] for name in picture.names("shade-")}
    assert {"II", "III", "aVF"} <= shaded
    assert not {"V5", "V6"} & shaded
    assert any(text.startswith("● met: ST elevation in II, III and aVF (required)") for text in picture.texts)


def test_a_label_that_does_not_hold_lights_up_nothing_that_speaks_for_it(draw, ecg):
    picture = draw(ecg, label="QTc > 500")
    assert not picture.names("shade-")
    assert any(text.startswith("○ unmet") for text in picture.texts)


def test_a_part_of_a_long_recording_is_marked_where_it_is(draw):
    ecg = simulate("normal", seed=2, seconds=90, sampling_rate=250)
    picture = draw(part(ecg, ("II",)), start=70, show=("peaks",))
    found = sorted(line[0, 0] for line in picture.lines("beat-"))
    trace = picture.lines("trace-II")[0]
    for at in found:
        near = trace[np.abs(trace[:, 0] - at) < 1.5]
        assert abs(near[near[:, 1].argmax(), 0] - at) < 0.6  # mm: 100 Hz
    assert len(found) > 5


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_patient_is_described_but_not_named(draw, ecg):
    secrets = {"patient": "f00dcafe", "patient_id": "4711", "name": "Miller", "birth": "1950-01-01"}
    known = {
        "age": 93.0,
        "sex": "female",
        "time": "2024-05-06T07:08:09",
        "device": "AT-102",
        "comments": ["Mr X"],
    }
    named = ECG(ecg.signal, 500, LEADS, {**secrets, **known}, source="/home/ward-3/miller/rec_01")
    text = " ".join(draw(named, show=ALL).texts)
    assert "over 89 years   female   2024-05-06 07:08:09   AT-102" in text
    assert "rec_01" in text
    assert not any(secret in text for secret in (*secrets.values(), "Mr X", "ward-3", "93", "/home"))


@pytest.mark.parametrize("title", ["$x_1", "a" * 5000, "<b>&\"'", "one\ntwo", "心 \udc80 \0 \u202e", "]]>"])
def test_hostile_names_are_one_line_of_text(draw, ecg, title):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = draw(ECG(ecg.signal, 500, LEADS, source="x/" + title)).texts
    assert any(text.startswith(title[:2]) for text in texts) or "心" in title
    assert all("\u202e" not in text and "\n" not in text for text in texts)


def test_text_is_text_and_nothing_is_an_image(ecg, tmp_path):
    plot(ecg, tmp_path / "a.pdf", show=ALL, label="AF")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/Subtype /Image" not in content
    assert b"/TrueType" in content or b"/CIDFontType2" in content
    pdfium = pytest.importorskip("pypdfium2")
    page = pdfium.PdfDocument(content)[0]
    assert [x / 72 * 25.4 for x in page.get_size()] == pytest.approx(A4, abs=0.01)
    assert "Research software, not a medical device." in page.get_textpage().get_text_range()


def test_several_ecgs_are_pages_of_a_pdf_and_no_picture(ecg, tmp_path):
    plot([ecg, simulate("af", seed=1)], tmp_path / "a.pdf")
    assert len(re.findall(rb"/Type /Page\b", (tmp_path / "a.pdf").read_bytes())) == 2
    with pytest.raises(EcgclipError, match="holds one page"):
        plot([ecg, ecg], tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()


def test_the_same_ecg_makes_the_same_file_and_leaves_settings_alone(ecg, tmp_path):
    before, pyplot = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    contents = []
    theirs = {"svg.fonttype": "path", "path.simplify": True, "font.style": "italic", "lines.antialiased": False}
    for changed in ({}, theirs | {"lines.linestyle": "--", "lines.marker": "o", "savefig.bbox": "tight"}):
        with matplotlib.rc_context(changed):
            for ending in ("svg", "pdf", "png"):
                plot(ecg, tmp_path / f"a.{ending}", show=ALL)
                contents.append((tmp_path / f"a.{ending}").read_bytes())
    assert contents[:3] == contents[3:]
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"layout": "4x3"}, "unknown layout '4x3': 3x4, 6x2, 12x1"),
        ({"layout": "3x4+9"}, "unknown layout '9'"),
        ({"layout": "II,II"}, "unknown layout 'II,II'"),
        ({"speed": 30}, "speed 30: 25 or 50"),
        ({"gain": 1}, "gain 1: 5 or 10 or 20"),
        ({"show": ("p",)}, "no layer 'p': peaks, waves, st"),
        ({"start": 10}, "has 10 s: nothing to show from 10 s on"),
        ({"start": float("nan")}, "nothing begins at nan s"),
        ({"seconds": 0}, "0 s are too few"),
        ({"seconds": 1e6}, "too much for a page"),
        ({"label": "gobbledygook"}, "'gobbledygook' is not in the knowledge base"),
    ],
)
def test_an_option_that_makes_no_sense_is_one_line(ecg, tmp_path, options, message):
    with pytest.raises(EcgclipError) as error:
        plot(ecg, tmp_path / "a.svg", **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_lead_that_is_not_there_is_named(ecg, tmp_path):
    with pytest.raises(EcgclipError, match="no lead V5 in the recording: it has II, V1"):
        plot(part(ecg, ("II", "V1")), tmp_path / "a.svg", layout="V5")


def test_without_matplotlib_the_message_says_what_to_install(ecg, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(EcgclipError, match=r'plots need matplotlib: pip install "ecgclip\[plot\]"'):
        plot(ecg, tmp_path / "a.svg")
