"""PDF printouts of a simulated ECG, written by a small writer in the layouts of recorders, must come back."""

import zlib

import numpy as np
import pytest

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io import read_ecg
from ecgclip.io.file import File
from ecgclip.io.pdf import read_pdf
from ecgclip.simulate import simulate

pytest.importorskip("pypdfium2")

MM = 72 / 25.4
WIDTHS = {"I": 2.5, "V": 6, "R": 6.5}  # of letters, in points
SCALE_TEXT = ((b"25 mm/s", 60, 25), (b"10 mm/mV", 130, 25), (b"Part I of 2", 60, 570))


@pytest.fixture(scope="module")
def ecg():
    return simulate("normal", seed=3, seconds=10, sampling_rate=500)


def pdf(*contents, size=(842, 595), rotate=0, form=None, trailer=b"", filters=b"/FlateDecode"):
    """A PDF with a page for each content stream; `form` is drawn by the operator /Fm Do."""

    def stream(body, more=b""):
        body = zlib.compress(body)
        head = b"<</Filter[%s]%s/Length %d>>stream\n" % (filters, more, len(body))
        return head + body + b"\nendstream"

    more = b"/Type/XObject/Subtype/Form/BBox[-9999 -9999 9999 9999]/Matrix[.5 0 0 -.5 10 500]"
    kids = b" ".join(b"%d 0 R" % (5 + 2 * i) for i in range(len(contents)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(contents)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        stream(form or b"", more),
    ]
    for i, content in enumerate(contents):
        box, resources = b"[0 0 %d %d]" % size, b"<</Font<</F 3 0 R>>/XObject<</Fm 4 0 R>>>>"
        page = b"<</Type/Page/Parent 2 0 R/MediaBox%s/Rotate %d/Resources%s/Contents %d 0 R>>"
        objects += [page % (box, rotate, resources, 6 + 2 * i), stream(content)]
    out, at = b"%PDF-1.4\n", []
    for i, body in enumerate(objects, 1):
        at.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (i, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in at)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return out + end % (len(objects) + 1, table, len(objects) + 1, len(out)) + trailer


def polyline(x, y, digits=2, strokes=False):
    points = [b"%.*f %.*f" % (digits, a, digits, b) for a, b in zip(x, y, strict=True)]
    if strokes:
        return b"".join(b"%s m %s l S\n" % pair for pair in zip(points, points[1:], strict=False))
    return points[0] + b" m\n" + b"".join(p + b" l\n" for p in points[1:]) + b"S\n"


def write(text, x, y, apart=False):
    """A word at a place; letter by letter with `apart`."""
    if apart:
        at = np.cumsum([0, *(WIDTHS.get(letter, 5) for letter in text.decode())])
        return b"".join(write(text[i : i + 1], x + at[i], y) for i in range(len(text)))
    return b"BT /F 9 Tf %.2f %.2f Td (%s) Tj ET\n" % (x, y, text)


def grid(width=250, height=150, mm=MM, x=40, y=60, step=1):
    upright = [
        b"%.3f %d m %.3f %.3f l S\n" % (x + i * mm, y, x + i * mm, y + height * mm) for i in range(0, width + 1, step)
    ]
    level = [
        b"%d %.3f m %.3f %.3f l S\n" % (x, y + i * mm, x + width * mm, y + i * mm) for i in range(0, height + 1, step)
    ]
    return b"".join(upright + level)


def scale_text(texts=SCALE_TEXT):
    return b"".join(write(*text) for text in texts)


def three_by_four(ecg, mm=MM, strip="II", row_by_row=False, apart=False, **more):
    """Three rows of four leads of 2.5 s each, and a strip of 10 s."""
    quarter, drawn = ecg.signal.shape[1] // 4, b""
    second, rows = 25 * mm, [470 - 30 * mm * r for r in range(3)]
    for r, level in enumerate(rows):
        for k in range(4):
            part = ecg.signal[r + 3 * k, k * quarter : (k + 1) * quarter]
            x = 50 + (np.arange(quarter) + k * quarter) / ecg.sampling_rate * second
            drawn += b"" if row_by_row else polyline(x, level + part * 10 * mm, **more)
            drawn += write(LEADS[r + 3 * k].encode(), x[0] + 3, level + 6 * mm, apart)
        if row_by_row:
            row = np.concatenate([ecg.signal[r + 3 * k, k * quarter : (k + 1) * quarter] for k in range(4)])
            drawn += polyline(50 + np.arange(len(row)) / ecg.sampling_rate * second, level + row * 10 * mm)
    if strip:
        signal = ecg.signal[LEADS.index(strip)]
        drawn += polyline(
            50 + np.arange(len(signal)) / ecg.sampling_rate * second, 470 - 90 * mm + signal * 10 * mm, **more
        )
        drawn += write(strip.encode(), 53, 470 - 84 * mm)
    return drawn


def twelve_rows(ecg, mm=MM, x=60.0, leads=LEADS, columns=1, **more):
    """Each lead in a row of its own, or six in each of two columns; the label to the left of it."""
    drawn, samples = b"", ecg.signal.shape[1] // columns
    for i, lead in enumerate(leads):
        column, row = divmod(i, len(leads) // columns)
        at = x + column * samples / ecg.sampling_rate * 25 * mm
        signal = ecg.signal[LEADS.index(lead), column * samples : (column + 1) * samples]
        level = 540 - 15 * mm * row
        drawn += polyline(at + np.arange(samples) / ecg.sampling_rate * 25 * mm, level + signal * 10 * mm, **more)
        drawn += write(lead.encode(), at - (20 if column == 0 else -4), level + (0 if column == 0 else 20))
    return drawn


def read(data):
    return read_pdf(File("a.pdf", data))


def worst(recording, ecg):
    """The largest RMS difference of a lead in µV, apart from its level."""
    errors = []
    for channel in recording.channels:
        assert channel.unit == "mV"
        at = np.flatnonzero(np.isfinite(channel.samples))
        seconds = at / channel.rate
        truth = np.interp(
            seconds, np.arange(ecg.signal.shape[1]) / ecg.sampling_rate, ecg.signal[LEADS.index(channel.name)]
        )
        errors.append(np.std(channel.samples[at] - truth) * 1000)
    return max(errors)


def spans(recording):
    """First and last second of each lead."""
    found = {}
    for channel in recording.channels:
        at = np.flatnonzero(np.isfinite(channel.samples))
        found[channel.name] = (round(at[0] / channel.rate, 1), round((at[-1] + 1) / channel.rate, 1))
    return found


@pytest.mark.parametrize("size", [1, 0.8, 1.1])
def test_three_rows_of_four_leads_stand_at_their_time_whatever_the_size_of_the_print(ecg, size):
    recording = read(pdf(scale_text() + grid(mm=MM * size) + three_by_four(ecg, MM * size)))
    assert [c.name for c in recording.channels] == list(LEADS)
    assert worst(recording, ecg) < 2
    times = spans(recording)
    assert times["II"] == (0, 10)  # the strip, not the stretch
    assert (
        times["III"] == (0, 2.5) and times["aVF"] == (2.5, 5) and times["V1"] == (5, 7.5) and times["V6"] == (7.5, 10)
    )
    assert {c.rate for c in recording.channels} == {500}


def test_a_printout_is_an_ecg(ecg, tmp_path):
    (tmp_path / "a.pdf").write_bytes(pdf(scale_text() + grid() + twelve_rows(ecg)))
    again = read_ecg(tmp_path / "a.pdf")
    assert again.leads == LEADS and again.sampling_rate == 500 and again.seconds == 10
    assert any("page 1 of 1" in note for note in again.notes)


def test_a_printout_that_an_archive_keeps_as_dicom_is_read(ecg):
    from ecgclip.io.dicom import read_dicom

    document = pdf(scale_text() + grid() + three_by_four(ecg))
    document += b"\0" * (len(document) % 2)
    elements = b"\x08\0\x16\0UI\x1e\x001.2.840.10008.5.1.4.1.1.104.1\0" + b"\x10\0\x40\0CS\x02\0F "
    elements += b"\x42\0\x11\0OB\0\0" + len(document).to_bytes(4, "little") + document
    recording = read_dicom(File("a.dcm", bytes(128) + b"DICM" + elements))
    assert len(recording.channels) == 12 and worst(recording, ecg) < 2 and recording.metadata["sex"] == "female"


@pytest.mark.parametrize("columns, overlap, left, above", [(4, 8, 16, 17.3), (2, 15, 17.2, 10.6)])
def test_labels_may_stand_apart_and_the_strip_may_have_none(ecg, columns, overlap, left, above):
    """As ecgtizer prints PTB-XL: 125 Hz, labels well within their column, columns that overlap, no scale."""
    rows, sector, seconds = 12 // columns, 280 / columns, 10 / columns
    drawn, height = grid(280, 160, x=8.5 * MM, y=15 * MM), 160 / (4 if columns == 4 else 6)
    times = np.arange(0.008, seconds, 0.008)
    for i, signal in enumerate(ecg.signal):
        c, r = divmod(i, rows)
        x, level = left + c * (sector - overlap), 175 - height * (r + 0.5)
        values = np.interp(c * seconds + times, np.arange(5000) / 500, signal)
        drawn += polyline((x + times * 25) * MM, (level + values * 10) * MM, 4)
        drawn += write(LEADS[i].encode(), (21.2 + sector * c) * MM, (level + above) * MM)
    if columns == 4:
        times = np.arange(0.008, 10, 0.008)
        values = np.interp(times, np.arange(5000) / 500, ecg.signal[1])
        drawn += polyline((left + times * 25) * MM, (35 + values * 10) * MM, 4)
    recording = read(pdf(drawn))
    assert [c.name for c in recording.channels] == list(LEADS) and recording.channels[0].rate == 125
    begins = {name: begin for name, (begin, _) in spans(recording).items()}
    assert [begins[lead] for lead in LEADS if lead != "II"] == [i // rows * seconds for i in range(12) if i != 1]
    assert spans(recording)["II"][1] == (10 if columns == 4 else 5)
    for i, channel in enumerate(recording.channels):
        samples = channel.samples[np.isfinite(channel.samples)]
        start = 0.008 + (0 if channel.name == "II" else i // rows * seconds)
        printed = np.interp(start + np.arange(len(samples)) / 125, np.arange(5000) / 500, ecg.signal[i])
        assert np.std(samples - printed) < 0.002


@pytest.mark.parametrize("columns", [1, 2])
def test_rows_of_one_or_two_leads_are_read(ecg, columns):
    recording = read(pdf(scale_text() + grid() + twelve_rows(ecg, columns=columns)))
    assert len(recording.channels) == 12 and worst(recording, ecg) < 2


@pytest.mark.parametrize(
    "how", [{"digits": 1}, {"strokes": True}, {"row_by_row": True}, {"apart": True}, {"strip": None}, {"digits": 4}]
)
def test_curves_are_read_however_they_are_drawn(ecg, how):
    recording = read(pdf(scale_text() + grid() + three_by_four(ecg, **how)))
    assert len(recording.channels) == 12 and worst(recording, ecg) < 10
    assert spans(recording)["V2"] == (5, 7.5)


def test_straight_stretches_may_lack_their_points(ecg):
    x = 60 + np.arange(5000) / 500 * 25 * MM
    drawn = b""
    for row, lead in enumerate(("I", "II", "V5")):
        y = np.round(400 - 90 * row + ecg.signal[LEADS.index(lead)] * 10 * MM, 1)
        bends = np.r_[True, np.diff(np.diff(y)) != 0, True]
        drawn += polyline(x[bends], y[bends], 3) + write(lead.encode(), 60, 420 - 90 * row)
    recording = read(pdf(scale_text() + grid() + drawn))
    assert recording.channels[0].rate == 500 and worst(recording, ecg) < 10


def test_a_curve_in_pieces_out_of_order_is_one(ecg):
    drawn = [write(lead.encode(), 60, 420 - 90 * row) for row, lead in enumerate(("I", "II", "V5"))]
    for row, lead in enumerate(("I", "II", "V5")):
        x, y = 60 + np.arange(5000) / 500 * 25 * MM, 400 - 90 * row + ecg.signal[LEADS.index(lead)] * 10 * MM
        drawn += [polyline(x[a : a + 251], y[a : a + 251]) for a in range(0, 5000, 250)]
    drawn = [drawn[i] for i in np.random.default_rng(0).permutation(len(drawn))]
    recording = read(pdf(scale_text() + grid() + b"".join(drawn)))
    assert [len(c.samples) for c in recording.channels] == [5000] * 3 and worst(recording, ecg) < 2


@pytest.mark.parametrize("how", ["snake", "squares"])
def test_a_grid_may_be_one_path_or_squares(ecg, how):
    mm = 0.8 * MM
    if how == "snake":
        corners = [(x, 60 + 5 * i * mm) for i in range(51) for x in ((40, 800), (800, 40))[i % 2]]
        ruled = polyline(*np.transpose(corners), 3)
    else:
        ruled = b"".join(b"%.3f 60 %.3f %.3f re S\n" % (40 + 10 * i * mm, 5 * mm, 150 * mm) for i in range(25))
    recording = read(pdf(scale_text() + ruled + three_by_four(ecg, mm)))
    assert worst(recording, ecg) < 2 and not any("grid" in note for note in recording.notes)


def test_a_form_with_a_matrix_of_its_own_is_read(ecg):
    drawn = scale_text(((b"25 mm/s", 60, 25), (b"10 mm/mV", 160, 25))) + grid() + three_by_four(ecg)
    # the form is half as large and upside down, as its place on the page is
    recording = read(pdf(b"q 2 0 0 -2 0 600 cm /Fm Do Q", form=drawn))
    assert len(recording.channels) == 12 and worst(recording, ecg) < 2


@pytest.mark.parametrize(
    "rotate, matrix", [(90, b"0 1 -1 0 595 0"), (270, b"0 -1 1 0 0 842"), (180, b"-1 0 0 -1 842 595")]
)
def test_a_turned_page_is_read_upright(ecg, rotate, matrix):
    size = (842, 595) if rotate == 180 else (595, 842)
    drawn = b"q %s cm " % matrix + scale_text() + grid() + three_by_four(ecg) + b" Q"
    recording = read(pdf(drawn, rotate=rotate, size=size))
    assert len(recording.channels) == 12 and worst(recording, ecg) < 2


def test_the_calibration_pulse_is_the_scale_where_there_is_no_grid(ecg):
    mm = 0.8 * MM
    pulse = polyline(np.array([30, 32, 32, 42, 42, 44.0]), 470 + np.array([0, 0, 10, 10, 0, 0]) * mm)
    recording = read(pdf(scale_text() + pulse + three_by_four(ecg, mm)))
    assert worst(recording, ecg) < 5 and any("calibration pulse" in note for note in recording.notes)


def test_without_any_scale_what_was_assumed_is_said(ecg):
    recording = read(pdf(three_by_four(ecg)))
    assert worst(recording, ecg) < 2
    assumed = [note for note in recording.notes if note.startswith("assumed")]
    assert len(assumed) == 3 and "25 mm/s" in assumed[0] and "10 mm/mV" in assumed[1] and "its own size" in assumed[2]


def test_a_reduced_page_without_a_grid_lasts_ten_seconds(ecg):
    recording = read(pdf(scale_text() + three_by_four(ecg, 0.87 * MM)))
    assert worst(recording, ecg) < 5 and any("10 s" in note for note in recording.notes)


def test_paper_speed_and_gain_are_as_they_are_written(ecg):
    drawn = b"".join(
        polyline(60 + np.arange(2500) / 500 * 50 * MM, 400 - 80 * r + ecg.signal[r, :2500] * 20 * MM)
        + write(LEADS[r].encode(), 60, 425 - 80 * r)
        for r in range(3)
    )
    recording = read(pdf(scale_text(((b"50mm/s 20,0 mm/mV", 60, 25),)) + grid(step=5) + drawn))
    assert worst(recording, ecg) < 2 and recording.channels[0].rate == 500


@pytest.mark.parametrize("labelled", [False, True])
def test_rows_of_a_watch_continue_one_another(labelled):
    long = simulate("normal", seed=5, seconds=30, sampling_rate=512)
    drawn = scale_text(((b"25 mm/s, 10 mm/mV, Lead I, 512Hz, watchOS 9", 60, 25),)) + grid()
    for row in range(3):
        part = long.signal[0, row * 5120 : (row + 1) * 5120]
        drawn += polyline(45 + np.arange(5120) / 512 * 25 * MM, 420 - 100 * row + part * 10 * MM)
        drawn += write(b"I", 48, 450 - 100 * row) if labelled else b""
    recording = read(pdf(drawn))
    assert [c.name for c in recording.channels] == ["I"] and recording.channels[0].rate == 512
    assert len(recording.channels[0].samples) == 3 * 5120
    assert any("continue" in note for note in recording.notes)
    for row in range(3):
        part = slice(row * 5120, (row + 1) * 5120)
        assert np.std(recording.channels[0].samples[part] - long.signal[0, part]) < 0.002


def test_minus_avr_is_turned_back(ecg):
    turned = ecg.signal.copy()
    turned[3] *= -1
    drawn = b""
    for row, (name, signal) in enumerate((("I", turned[0]), ("-aVR", turned[3]), ("V1", turned[6]))):
        drawn += polyline(60 + np.arange(5000) / 500 * 25 * MM, 450 - 80 * row + signal * 10 * MM)
        drawn += write(name.encode(), 60, 475 - 80 * row)
    recording = read(pdf(scale_text() + grid() + drawn))
    assert {c.name for c in recording.channels} == {"I", "aVR", "V1"} and worst(recording, ecg) < 2


def test_the_first_page_with_an_ecg_is_read(ecg):
    recording = read(pdf(write(b"Report", 60, 500), scale_text() + grid() + three_by_four(ecg), b""))
    assert "page 2 of 3" in recording.notes[0]


def test_age_sex_and_measurements_are_metadata_and_the_name_is_not(ecg):
    lines = [b"DOE, JANE", b"58 yr", b"Female", b"Vent. rate 75 BPM", b"PR interval 144 ms", b"QRS duration 86 ms"]
    lines += [b"QT/QTc 402/440 ms", b"P-R-T axes 60 -5 40"]
    text = b"".join(write(line, 500, 590 - 9 * i) for i, line in enumerate(lines))
    metadata = read(pdf(text + scale_text() + grid() + twelve_rows(ecg))).metadata
    assert metadata["age"] == 58 and metadata["sex"] == "female" and "DOE" not in str(metadata)
    expected = {"heart_rate": 75, "pr_ms": 144, "qrs_ms": 86, "qt_ms": 402, "qtc_ms": 440}
    assert metadata["measurements"] == expected | {"p_axis": 60, "qrs_axis": -5, "t_axis": 40}


PICTURE = b"q 800 0 0 500 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 ID \x00\xff\x00\xff EI Q\n"


@pytest.mark.parametrize(
    "data, why",
    [
        (pdf(PICTURE), "a scanned picture; only printouts with vector curves"),
        (pdf(write(b"25 mm/s", 60, 60)), "no curves drawn as polylines; only printouts with vector curves"),
        (pdf(polyline(np.arange(900) / 2, np.sin(np.arange(900)))), "a lead's name"),
        (b"%PDF-1.4\nnothing", "damaged"),
        (pdf(b" " * (65 << 20)), "inflate to more than 64 MiB"),
        (pdf(b"", filters=b"/LZWDecode"), "LZW"),
        (pdf(zlib.compress(b" " * 99999), filters=b"/FlateDecode/FlateDecode"), "compressed twice"),
    ],
)
def test_what_is_no_vector_printout_says_so_in_one_line(data, why):
    with pytest.raises(EcgclipError, match=why) as caught:
        read(data)
    assert str(caught.value).startswith("a.pdf: ") and "\n" not in str(caught.value)


def test_a_page_with_too_much_on_it_is_refused_at_once():
    with pytest.raises(EcgclipError, match="more is drawn"):
        read(pdf(b"0 0 m 1 1 l S " * 100_001))
    with pytest.raises(EcgclipError, match="more is drawn"):
        read(pdf(b"0 0 m " + b"1 1 l " * 400_001 + b"S"))


def test_damaged_files_give_a_recording_or_one_line():
    short = simulate("normal", seed=1, seconds=4, sampling_rate=100)
    whole = scale_text() + grid(60, 40, step=5) + twelve_rows(short, leads=("I", "II", "V1"))
    rng = np.random.default_rng(0)
    for i in range(100):
        content, outside = bytearray(whole), i % 2
        data = bytearray(pdf(bytes(content))) if outside else content
        for at in rng.integers(0, len(data), rng.integers(1, 30)):
            data[at] = rng.choice([32, 45, 48, 57, 255, rng.integers(256)])
        try:
            read(bytes(data) if outside else pdf(bytes(data)))
        except EcgclipError as error:
            assert str(error).startswith("a.pdf: ") and "\n" not in str(error)
