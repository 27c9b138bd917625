"""Text tables, however they are written."""

import time
from contextlib import suppress

import numpy as np
import pytest
from arrays_written import LEADS, check_mutations, mutated, read, refused, samples, smooth
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip import read_ecg
from ecgclip.ecg import EcgclipError
from ecgclip.io.delimited import is_table, read_delimited
from ecgclip.io.file import HEAD, File
from ecgclip.io.formats import format_by
from ecgclip.io.times import rate_of

ECG = smooth()


def table(signal=ECG, names=LEADS, times=None, sep=",", comma=False, end="\n", number="{:.3f}".format):
    """A table as text, samples in rows."""
    columns = ([] if times is None else [times]) + [[number(v) for v in row] for row in signal]
    lines = [sep.join(row).replace(".", "," if comma else ".") for row in zip(*columns, strict=True)]
    return end.join(([sep.join(names)] if names else []) + lines) + end


def names_units_rates(recording):
    return [(c.name, c.unit, c.rate) for c in recording.channels]


@given(
    st.sampled_from(",;\t| "),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
    st.integers(1, 12),
    st.sampled_from(["{:.3f}", "{:.6e}", "{:+.4f}"]),
)
@settings(max_examples=60, deadline=None)
def test_the_signal_is_the_same_however_the_table_is_written(sep, comma, end, encoding, named, leads, number):
    signal = smooth(leads, seconds=2)
    comma = comma and sep != ","
    text = table(signal, LEADS[:leads] if named else (), sep=sep, comma=comma, end=end, number=number.format)
    recording = read(text.encode(encoding))
    assert np.allclose(samples(recording), signal, atol=1e-6)
    assert [c.name for c in recording.channels] == (list(LEADS[:leads]) if named else [None] * leads)


def test_a_table_of_one_lead_with_decimal_commas_is_not_two_columns():
    text = table(ECG[:1], (), comma=True)
    assert np.allclose(samples(read(text.encode())), ECG[:1])
    assert np.allclose(samples(read(("I\n" + text).encode())), ECG[:1])


def test_decimal_commas_between_quotes_stand_between_commas():
    text = "I,II\n" + "\n".join(f'"{a:.3f}","{b:.3f}"'.replace(".", ",") for a, b in ECG[:2].T) + "\n"
    assert np.allclose(samples(read(text.encode())), ECG[:2])


def test_leads_may_stand_in_lines():
    named = "\n".join(",".join([lead, *map(str, row)]) for lead, row in zip(LEADS, ECG, strict=True))
    recording = read(named.encode())
    assert [c.name for c in recording.channels] == list(LEADS) and np.allclose(samples(recording), ECG)
    plain = "\n".join(" ".join(map(str, row)) for row in ECG)
    assert np.allclose(samples(read(plain.encode())), ECG)


@pytest.mark.parametrize(
    ("name", "write", "rate"),
    [
        ("time [s]", lambda k: f"{k / 500:.3f}", 500),
        ("Zeit", lambda k: f"{k / 360:.3f}", 360),
        ("time_ms", lambda k: f"{k}", 1000),
        ("time", lambda k: f"{k * 4}", 250),
        ("timestamp [ns]", lambda k: f"{599616000000000000 + k * 7692307}", 130),
        ("t", lambda k: f"{1.7e9 + k / 500:.6f}", 500),
        ("time", lambda k: f"2021-03-28T09:40:{k // 500:02d}.{k % 500 * 2:03d}", 500),
        ("time", lambda k: f"2021-03-28 23:59:{58 + k // 500:02d}.{k % 500 * 2:03d}Z", 500),
        ("Elapsed time", lambda k: f"'0:{k // 500:02d}.{k % 500 * 2:03d}'", 500),
        ("sample #", lambda k: f"{k}", None),
        ("", lambda k: f"{k}", None),
        ("time", lambda k: f"{k}", None),
    ],
)
def test_the_rate_follows_from_the_times(name, write, rate):
    n = 900 if "59:" in write(0) else ECG.shape[1]
    times = [write(k) for k in range(n)]
    recording = read(table(ECG[:2, :n], (name, "II", "V5"), times).encode())
    assert [(c.name, c.rate and pytest.approx(rate, rel=1e-4)) for c in recording.channels] == [
        ("II", rate),
        ("V5", rate),
    ]
    assert np.allclose(samples(recording), ECG[:2, :n])


def test_times_that_jitter_give_a_rate_and_irregular_ones_are_refused():
    rng = np.random.default_rng(0)
    n = ECG.shape[1]
    jitter = np.arange(n) / 500 + rng.uniform(-0.0004, 0.0004, n)
    made = read(table(ECG[:1], ("time [s]", "I"), [f"{t:.6f}" for t in jitter]).encode())
    assert made.channels[0].rate == pytest.approx(500, rel=2e-3)
    irregular = np.cumsum(rng.uniform(0.0005, 0.01, n))
    with refused("^file: .*irregular"):
        read(table(ECG[:1], ("time [s]", "I"), [f"{t:.6f}" for t in irregular]).encode())


def test_samples_that_the_times_leave_out_are_missing():
    kept = np.r_[0:500, 650:2000]
    text = table(ECG[:1, kept], ("time [s]", "I"), [f"{k / 500:.3f}" for k in kept])
    recording = read(text.encode())
    signal = recording.channels[0].samples
    assert recording.channels[0].rate == 500 and len(signal) == 2000
    assert np.isnan(signal[500:650]).all() and np.allclose(signal[kept], ECG[0, kept])
    assert any("150 samples are missing" in note for note in recording.notes)


@given(st.integers(50, 2000), st.integers(2, 6), st.integers(200, 3000))
def test_rounded_times_give_the_rate(rate, digits, n):
    times = np.round(np.arange(n) / rate, max(digits, 4))
    assert rate_of(times, "s")[0] == pytest.approx(rate, rel=1e-3)


def test_units_come_from_brackets_a_line_of_units_or_a_comment():
    assert names_units_rates(read(table(ECG[:2], ("I [mV]", "V1 (uV)")).encode())) == [
        ("I", "mV", None),
        ("V1", "uV", None),
    ]
    head = "'Elapsed time','MLII','V5'\n'seconds','mV','mV'\n"
    times = [f"{k / 360:.3f}" for k in range(ECG.shape[1])]
    physionet = read((head + table(ECG[:2], (), times)).encode())
    assert names_units_rates(physionet) == [("MLII", "mV", 360), ("V5", "mV", 360)]
    commented = read(("# sampling_rate: 500 Hz\n# unit: uV\n" + table()).encode())
    assert names_units_rates(commented) == [(lead, "uV", 500) for lead in LEADS]


@pytest.mark.parametrize("line", ["# gain: 200 adu/mV", "# gain = 200", "# resolution: 5 uV/LSB"])
def test_a_gain_in_a_comment_is_applied(line):
    text = f"{line}\n# fs = 500\n" + table(np.rint(ECG * 200), number="{:.0f}".format)
    channel = read(text.encode()).channels[1]
    scale = 1e-3 if channel.unit == "uV" else 1
    assert channel.unit in ("mV", "uV") and np.allclose(channel.samples * scale, np.rint(ECG[1] * 200) / 200)


@pytest.mark.parametrize("missing", ["", "NaN", "NA", "null", "-"])
def test_missing_values_are_nan(missing):
    lines = table(ECG[:3], LEADS[:3]).splitlines()
    lines[10] = f"{missing},0.5,{missing}"
    lines[-1] = f"0.1,{missing},0.2"
    got = samples(read("\n".join(lines).encode()))
    assert np.isnan(got[[0, 2], 9]).all() and np.isnan(got[1, -1]) and np.isnan(got).sum() == 3
    assert got[1, 9] == 0.5


def test_words_beside_the_numbers_are_left_alone():
    beats = ["N" if k % 400 == 0 else "" for k in range(ECG.shape[1])]
    lines = table(ECG[:1], ("II", "beat")).splitlines()
    text = "\n".join([lines[0], *(f"{line},{beat}" for line, beat in zip(lines[1:], beats, strict=True))])
    recording = read(text.encode())
    assert [c.name for c in recording.channels] == ["II"] and np.allclose(samples(recording), ECG[:1])


def test_what_polar_and_opensignals_write_is_read():
    n = ECG.shape[1]
    stamps = [599616000000000000 + k * 7692307 for k in range(n)]
    clock = [f"2021-03-28T09:40:{k // 73 % 60:02d}.000" for k in range(n)]
    rows = [f"{c};{t};{t / 1e6:.1f};{v * 1000:.0f}" for c, t, v in zip(clock, stamps, ECG[0], strict=True)]
    polar = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]\n" + "\n".join(rows)
    assert names_units_rates(read(polar.encode())) == [("ecg", "uV", pytest.approx(130, rel=1e-4))]
    about = '{"x": {"sampling rate": 1000, "column": ["nSeq", "I1", "A1"]}}'
    head = f"# OpenSignals Text File Format\n# {about}\n# EndOfHeader\n"
    rows = [f"{k % 16}\t0\t{v * 100 + 500:.0f}\t" for k, v in enumerate(ECG[0])]
    assert read((head + "\n".join(rows)).encode()).channels[0].rate == 1000


INDEX = "\n".join(f"{k},{a:.3f},{b:.3f}" for k, (a, b) in enumerate(ECG[:2].T))
COUNTED = ",".join(map(str, range(12)))
LINES = {
    "pandas with its row numbers": (",I,II\n" + INDEX, ("I", "II"), None),
    "pandas without names": (COUNTED + "\n" + table(names=()), (None,) * 12, None),
    "pandas without names, with row numbers": (",0,1\n" + INDEX, (None, None), None),
    "R": ('"","I","II"\n' + INDEX, ("I", "II"), None),
    "R without names": (table(names=[f'"V{k}"' for k in range(1, 13)]), (None,) * 12, None),
    "a spreadsheet's first line": ("sep=;\n" + table(ECG[:2], ("I", "II"), sep=";", comma=True), ("I", "II"), None),
    "keys and values": ("Name,A B\nAge,63\nSampling Rate,500\n" + table(ECG[:3], LEADS[:3]), LEADS[:3], 500),
    "BIOPAC": ("2 msec/sample\n1 channels\nECG100C\nmV\n" + table(ECG[:1], ()), (None,), 500),
    "LabChart": ("Interval=\t0.002 s\nChannelTitle=\tII\nUnitName=\tmV\n" + table(ECG[:1], ()), ("II",), 500),
    "comment of names": ("% Sampling rate: 250 Hz\n% I II III\n" + table(ECG[:3], (), sep=" "), LEADS[:3], 250),
}


@pytest.mark.parametrize("written", LINES)
def test_what_programs_write_is_read(written):
    text, names, rate = LINES[written]
    recording = read(text.encode())
    assert [(c.name, c.rate) for c in recording.channels] == [(name, rate) for name in names]
    assert np.allclose(samples(recording), ECG[: len(names)])


def test_nothing_of_the_patient_is_kept_but_age_and_sex():
    head = "# Name: Erika Musterfrau\n# Patient ID: 4711\n# Age: 63\n# Sex: F\n# Date of birth: 1.4.1958\n# fs: 500\n"
    recording = read((head + table()).encode())
    assert recording.metadata == {"age": 63, "sex": "female"}


@pytest.mark.parametrize(
    "text",
    [
        "id,label\n" + "\n".join(f"{k},{k % 2}" for k in range(400)),
        "ecg_id,patient_id,age,sex,height\n" + "\n".join(f"{k},{k * 7},{50 + k % 30},{k % 2},nan" for k in range(400)),
        "ecg_id,patient_id,report,scp\n" + "\n".join(f"{k},{k * 7},sinus rhythm,NORM" for k in range(400)),
        "\n".join(f"A{k:05d},N" for k in range(400)),
        "\n".join(f"records100/{k:05d}_lr" for k in range(400)),
        "\n".join(str(100 + k) for k in range(400)),
        "\n".join(" ".join(f"{v:.3f}" for v in row) for row in np.random.default_rng(0).normal(size=(40, 12))),
        "\n".join(",".join(f"{v:.3f}" for v in row) for row in np.random.default_rng(0).normal(size=(4000, 40))),
        "\n".join(",".join(f"{v:.3f}" for v in row) for row in np.random.default_rng(0).normal(size=(4000, 12))),
        "time,temperature\n" + "\n".join(f"{k * 60},{20 + np.sin(k / 50):.2f}" for k in range(400)),
        "   0:00.050    18    +    0    0    0\t(N\n" * 200,
        "\n".join(str(k * k + 100) for k in range(400)),
        "\n".join(f"{k}\t{k % 7}\tword" for k in range(400)),
        "# Notes\n\nThe ECG was recorded at 500 Hz.\n",
    ],
)
def test_other_tables_are_no_ecg(text):
    assert format_by(text.encode()[:HEAD]) is None


def test_a_table_that_somebody_names_is_read_whatever_its_columns_are_called(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(table(np.random.default_rng(0).normal(size=(5, 1500)), ("a", "b", "c", "d", "e")))
    ecg = read_ecg(path, sampling_rate=500, leads=("I", "II", "V1", "V2", "V3"), unit="mV")
    assert ecg.signal.shape == (5, 1500)


def test_damage_is_told_by_row():
    lines = table().splitlines()
    lines[100] = lines[100] + ",1.0"
    with refused("^file: row 100 has 13 columns, where the first has 12"):
        read("\n".join(lines).encode())
    lines[100] = lines[99].replace("0", "x", 1)
    with refused("^file: row 100, column 1: not a number"):
        read("\n".join(lines).encode())


@pytest.mark.parametrize("text", [table(ECG[:1]), table(), "\n".join(" ".join(map(str, row)) for row in ECG)])
@pytest.mark.parametrize("footer", ["Patient John CANARY born 1950", "CANARY", ",".join(["John CANARY"] * 12)])
def test_no_message_repeats_a_text_of_the_file(text, footer):
    for damaged in (text + footer + "\n", text + footer + "\n" + text.splitlines()[-1] + "\n"):
        try:
            read(damaged.encode())
        except EcgclipError as error:
            assert "CANARY" not in str(error) and str(error).startswith("file: ")


def test_what_is_said_and_cannot_be_is_not_replaced_by_what_is_usual(tmp_path):
    ten = np.tile(ECG, 3)[:, :5000]  # 10 s at 500 Hz, which would be assumed
    (tmp_path / "a.csv").write_text("# sampling_rate: 5000000 Hz\n" + table(ten))
    with refused("5e\\+06 Hz is no sampling rate of an ECG"):
        read_ecg(tmp_path / "a.csv")
    with refused("^file: names 8 leads and holds 12"):
        read(("# leads: I, II, III, aVR, aVL, aVF, V1, V2\n" + table(ten, ())).encode())


def test_numbered_names_are_leads_unless_no_lead_is_called_so():
    eight = read(table(ECG[:8], [f"V{k}" for k in range(1, 9)]).encode())
    assert [c.name for c in eight.channels] == [f"V{k}" for k in range(1, 9)]
    twelve = read(table(ECG, [f"V{k}" for k in range(1, 13)]).encode())  # as R calls what has no names
    assert [c.name for c in twelve.channels] == [None] * 12


def test_zeros_that_fill_a_file_are_left_out():
    assert np.allclose(samples(read(table().encode() + bytes(1 << 20))), ECG)


def test_a_text_that_is_far_too_long_is_not_read(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(table().encode())
        file.truncate(8 << 30)  # takes no space
    with refused("a.csv: a text of 8192 MiB"):
        read_ecg(tmp_path / "a.csv")


def test_a_last_line_that_is_cut_is_left_out():
    text = table()
    recording = read(text[: text.rindex(",")].encode())
    assert samples(recording).shape == (12, ECG.shape[1] - 1) and any("cut off" in note for note in recording.notes)


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="0123456789.,;:-+eE \t\n\"'#IVamnstu[]()%/|é\u00a0\u0663", max_size=400))
def test_any_text_is_a_table_or_one_line(text):
    data = (text * 8).encode()
    is_table(data[:HEAD])
    try:
        read_delimited(File("file", data or b" "))
    except EcgclipError as error:
        assert str(error).startswith("file: ") and "\n" not in str(error)


@pytest.mark.parametrize(
    "line",
    ["1" * 8000 + "x", '"' * 8000, " " * 8000, "[" * 8000, "a:" + "' " * 4000, "1," * 4000, "é," * 3000, "-" * 8000],
)
def test_lines_that_are_made_to_take_long_do_not(line):
    data = (line + "\n").encode() * 20 + b"I,II\n" + table(ECG[:2, :300], ()).encode()
    start = time.process_time()
    format_by(data[:HEAD])
    with suppress(EcgclipError):
        read_delimited(File("file", data))
    assert time.process_time() - start < 2


def test_damaged_tables_are_told_in_one_line():
    times = [f"{k / 500:.3f}" for k in range(600)]
    check_mutations(table(ECG[:3, :600], ("time [s]", "I", "II [mV]", "III"), times).encode(), read_delimited, seed=1)
    rng = np.random.default_rng(2)
    for _ in range(100):
        format_by(mutated(table(ECG[:2, :300], LEADS[:2]).encode(), rng)[:HEAD])


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "leads", "rate", "unit"),
    [
        ("bom_crlf_quoted.csv", 12, None, None),
        ("comment_header.csv", 12, 500, "uV"),
        ("leads_in_rows.csv", 12, None, None),
        ("missing_values.csv", 3, None, None),
        ("physionet_style.csv", 2, 500, "mV"),
        ("semicolon_decimal_comma.csv", 12, 500, "mV"),
        ("time_ms_lead_I.csv", 1, 500, None),
        ("tab_no_header_uV.tsv", 12, None, "uV"),
    ],
)
def test_made_tables_equal_the_truth(formats, name, leads, rate, unit):
    truth = np.load(formats / "made/truth.npz")
    given = {} if rate else {"sampling_rate": 500}
    ecg = read_ecg(formats / "made" / name, **given)
    assert ecg.leads == LEADS[:leads] and ecg.sampling_rate == 500
    known = ~np.isnan(ecg.signal)
    assert known.mean() > 0.9
    assert np.abs(ecg.signal - truth["signal"][:leads])[known].max() <= 0.0005


@pytest.mark.data
@pytest.mark.parametrize("name", ["ptbxl_00009_hr", "ptbxl_00038_hr"])
def test_real_tables_without_a_rate_are_taken_for_resting_ecgs(formats, name):
    with pytest.warns(UserWarning, match="assumed 500 Hz"):
        ecg = read_ecg(formats / f"csv/{name}.csv")
    expected = np.loadtxt(formats / f"csv/{name}.csv", delimiter=",", skiprows=1).T
    assert ecg.leads == LEADS and np.allclose(ecg.signal, expected, atol=1e-6)
    assert read_ecg(formats / f"csv/{name}.csv", sampling_rate=250).seconds == 20
