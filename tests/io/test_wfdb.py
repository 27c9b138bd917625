"""What `read_ecg` promises: millivolts and standard names out of any WFDB record, or one clear line."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from written import digital, write

from ecgclip.ecg import LEADS, EcgclipError
from ecgclip.io import wfdb as module
from ecgclip.io.read import read_ecg
from ecgclip.io.records import find_records
from ecgclip.io.wfdb_header import parse_header

DATA = os.environ.get("ECGCLIP_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="ECGCLIP_DATA is not set")
per_example = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fails(path, *words):
    with pytest.raises(EcgclipError) as caught:
        read_ecg(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    assert str(path).removesuffix(".hea") in message
    for word in words:
        assert word in message, message


# --- every format, gain, subset and order


@per_example
@given(
    fmt=st.sampled_from(["16", "212", "24", "32", "80", "508", "516", "524"]),
    leads=st.permutations(LEADS).flatmap(lambda p: st.integers(1, 12).map(lambda n: p[:n])),
    rate=st.sampled_from([50, 100, 257, 360, 499.5, 1000]),
    gain=st.sampled_from([25.5, 200, 1000, 4880.7]),
    unit=st.sampled_from(["mV", "uV", "µV", "mv", "V"]),
    seed=st.integers(0, 99),
)
def test_what_wfdb_writes_comes_back_in_millivolts(tmp_path, fmt, leads, rate, gain, unit, seed):
    import wfdb

    small = fmt in ("80", "508")
    values = digital(len(leads), int(rate * 2.5), seed, *((-100, 100) if small else (-1900, 1900)))
    n = len(leads)
    wfdb.wrsamp(
        "w", rate, ["mV"] * n, list(leads), d_signal=values, fmt=[fmt] * n, adc_gain=[gain] * n, baseline=[3] * n,
        write_dir=str(tmp_path),
    )  # fmt: skip
    header = tmp_path / "w.hea"
    header.write_text(header.read_text().replace("/mV", f"/{unit}"), encoding="utf-8")
    ecg = read_ecg(header)
    factor = {"m": 1, "u": 1e-3, "µ": 1e-3, "V": 1e3}[unit[0]]
    assert ecg.leads == tuple(leads)
    assert ecg.sampling_rate == rate
    assert ecg.signal.dtype == np.float32
    np.testing.assert_allclose(ecg.signal, (values.T - 3) / gain * factor, rtol=1e-5, atol=1e-7)


def _pack_311(samples):
    words = samples.reshape(-1, 3) & 0x3FF
    return (words[:, 0] | words[:, 1] << 10 | words[:, 2] << 20).astype("<u4").tobytes()


@pytest.mark.parametrize(
    ("fmt", "pack"),
    [
        ("61", lambda x: x.astype(">i2").tobytes()),
        ("160", lambda x: (x + 32768).astype("<u2").tobytes()),
        ("311", _pack_311),
        ("8", lambda x: np.diff(x, prepend=0).astype("i1").tobytes()),
    ],
)
def test_formats_that_wfdb_only_reads(tmp_path, fmt, pack):
    values = np.cumsum(digital(1, 300, low=-20, high=20)[:, 0]).clip(-500, 500)
    path = write(tmp_path, fmt=fmt)
    Path(tmp_path, "r.dat").write_bytes(pack(values))
    np.testing.assert_allclose(read_ecg(path).signal[0], values / 1000, atol=1e-6)


def test_own_decoder_agrees_with_wfdb(tmp_path):
    for prefix, fmt in ((b"", "16"), (b"x" * 24, "16+24"), (b"x" * 24, "16x1+24")):
        values = digital(3, 300)
        values[5, 1] = -32768
        path = write(tmp_path, values, leads=("I", "V1", "V2"), fmt=fmt)
        Path(tmp_path, "r.dat").write_bytes(prefix + values.astype("<i2").tobytes())
        header = parse_header(path + ".hea")
        own = module._read_file(header, list(header.signals))
        wfdbs = module._read_by_wfdb(header, list(header.signals), path + ".dat", 300)
        np.testing.assert_array_equal(own, wfdbs)
        assert np.isnan(own[1][5])
        assert np.isnan(own).sum() == 1


def test_several_samples_per_frame_keep_the_full_rate(tmp_path):
    """A monitor's record: frames at 62.5 Hz, ECG at 250 Hz, respiration (left out) and a slower second lead."""
    frames, per_frame = 200, (4, 1, 2)
    values = digital(1, frames * 7)
    header = f"r 3 62.5 {frames}\n" + "".join(
        f"r.dat 16x{n} 1000/mV 16 0 0 0 0 {lead}\n" for n, lead in zip(per_frame, ("II", "RESP", "V1"), strict=True)
    )
    ecg = read_ecg(write(tmp_path, values, header))
    cube = values.reshape(frames, 7)
    assert ecg.sampling_rate == 250
    assert ecg.leads == ("II", "V1")
    np.testing.assert_allclose(ecg.signal[0], cube[:, :4].ravel() / 1000, atol=1e-6)
    np.testing.assert_allclose(ecg.signal[1, ::2], cube[:, 5:].ravel() / 1000, atol=1e-6)
    assert any("RESP" in note for note in ecg.notes)


def test_leads_in_two_files_keep_the_header_order(tmp_path):
    a, b = digital(2, 300, 1), digital(1, 300, 2)
    write(tmp_path, a, name="r")
    write(tmp_path, b, name="q")
    header = "r 3 100\nr.dat 16 1000 16 0 0 0 0 V1\nq.dat 16 1000 16 0 0 0 0 I\nr.dat 16 1000 16 0 0 0 0 V2\n"
    Path(tmp_path, "r.hea").write_text(header)
    ecg = read_ecg(tmp_path / "r")
    assert ecg.leads == ("V1", "I", "V2")
    np.testing.assert_allclose(ecg.signal, np.stack([a[:, 0], b[:, 0], a[:, 1]]) / 1000, atol=1e-6)


def test_a_gain_below_zero_turns_the_signal_over_and_a_senseless_one_is_told(tmp_path):
    signal = digital(1, 300)
    upright = read_ecg(write(tmp_path, signal, name="up")).signal
    np.testing.assert_allclose(read_ecg(write(tmp_path, signal, name="down", gain="-1000/mV")).signal, -upright)
    fails(write(tmp_path, signal, name="odd", gain="1000.0(0.5)/mV"), "gain", "1000.0(0.5)/mV")


def test_multi_segment_with_layout_gap_and_changing_leads(tmp_path):
    a, b = digital(2, 250, 1), digital(2, 150, 2)
    write(tmp_path, a, name="s1", leads=("II", "V"))
    write(tmp_path, b, name="s2", leads=("MCL1", "II"))
    Path(tmp_path, "layout.hea").write_text("layout 2 100 0\n~ 0 1000/mV 0 0 0 0 0 II\n~ 0 1000/mV 0 0 0 0 0 MCL1\n")
    Path(tmp_path, "m.hea").write_text("m/4 2 100 500\nlayout 0\ns1 250\n~ 100\ns2 150\n# Age: 50\n")
    ecg = read_ecg(tmp_path / "m.hea")
    assert ecg.signal.shape == (2, 500)
    assert ecg.metadata["age"] == 50
    lead_ii, v1 = ecg.signal[ecg.leads.index("II")], ecg.signal[ecg.leads.index("V1")]
    np.testing.assert_allclose(lead_ii[:250], a[:, 0] / 1000, atol=1e-6)
    assert np.isnan(lead_ii[250:350]).all()
    assert np.isnan(v1[:350]).all()
    np.testing.assert_allclose(v1[350:], b[:, 0] / 1000, atol=1e-6)
    assert find_records(tmp_path) == [str(tmp_path / "m")]  # its parts are no records of their own


# --- headers as they are


@pytest.mark.parametrize(
    "header",
    [
        "r.mat 1 100 300\nr.dat 16 1000/mV 16 0 0 0 0 II\n",
        "another_name 1 100 300\nr.dat 16 1000/mV 16 0 0 0 0 II",
        "# first a comment\n\nr 1 100 300 12-May-2020 12:33:59  \n\nr.dat 16 1000(0)/mV 16 0 0 0 0 II   \n\n",
        "r 1 100/100(0) 300\r\nr.dat 16 1000.0(0)/mv 16 0 0 0 0 II\r\n#Age: 3\r\n",
        "r 1 100.0\nr.dat 16x1:0+0 1000/mV(0) 16 0 II\n",
        "\ufeffr 1 100 300\nr.dat 16 1e3/mV lead II\n",
        "r 1 100 300\nr.dat 16 1000/uV 16 0 0 0 0 II\n",
        "r 1 100 300\rr.dat 16 1000 16 0 0 0 0 II\r",
    ],
)
def test_unambiguous_headers_are_read(tmp_path, header):
    values = digital(1, 300)
    ecg = read_ecg(write(tmp_path, values, header))
    assert ecg.leads == ("II",)
    assert ecg.sampling_rate == 100
    np.testing.assert_allclose(ecg.signal[0], values[:, 0] / (1e6 if "uV" in header else 1e3), rtol=1e-5, atol=1e-9)


def test_defaults_of_the_standard_are_told(tmp_path):
    with pytest.warns(UserWarning, match="250 Hz"):
        ecg = read_ecg(write(tmp_path, digital(1, 600), "r 1\nr.dat 16 0 16 0 0 0 0 V2\n"))
    assert ecg.sampling_rate == 250
    assert any("no gain" in note for note in ecg.notes)
    assert any("no unit" in note for note in ecg.notes)


@pytest.mark.parametrize(
    ("spelling", "lead"),
    [
        ("AVR", "aVR"), ("avl", "aVL"), ("aVf", "aVF"), ("lead II", "II"), ("Lead1", "I"), ("LEAD_III", "III"),
        ("ECG II", "II"), ("ECG lead V3", "V3"), ("ii", "II"), ("v1", "V1"), ("V 6", "V6"), ("DII", "II"), ("D1", "I"),
        ("MLII", "II"), ("ML I", "I"), ("MV1", "V1"), ("MCL1", "V1"), ("CM5", "V5"),
    ],
)  # fmt: skip
def test_spellings_of_leads(tmp_path, spelling, lead):
    ecg = read_ecg(write(tmp_path, leads=(spelling,)))
    assert ecg.leads == (lead,)
    assert bool(ecg.notes) == (spelling[0] in "MC")  # a modified lead is more than a spelling


def test_a_lead_called_ecg_is_lead_one_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="lead I"):
        ecg = read_ecg(write(tmp_path, leads=("ECG",)))
    assert ecg.leads == ("I",)
    assert "assumed that 'ECG' is lead I" in ecg.notes


def test_what_is_no_lead_is_left_out_and_duplicates_keep_the_first(tmp_path):
    values = digital(5, 300)
    ecg = read_ecg(write(tmp_path, values, leads=("PLETH", "II", "-aVR", "MLII", "ECG2")))
    assert ecg.leads == ("II",)
    np.testing.assert_allclose(ecg.signal[0], values[:, 1] / 1000, atol=1e-6)
    for name in ("PLETH", "-aVR", "MLII", "ECG2"):
        assert any(name in note for note in ecg.notes)


def test_a_unit_that_is_no_voltage_leaves_the_lead_out(tmp_path):
    header = "r 2 100 300\nr.dat 16 1000/mmHg 16 0 0 0 0 I\nr.dat 16 1000/mV 16 0 0 0 0 II\n"
    ecg = read_ecg(write(tmp_path, digital(2, 300), header))
    assert ecg.leads == ("II",)
    assert any("mmHg" in note for note in ecg.notes)


# --- bad input


def test_missing_files(tmp_path):
    fails(tmp_path / "nothing.hea", "no such file or record")
    fails(tmp_path, "is a folder")
    path = write(tmp_path)
    os.remove(path + ".dat")
    fails(path, "r.dat is missing")


def test_truncated_signal(tmp_path):
    path = write(tmp_path)
    Path(path + ".dat").write_bytes(b"12345")
    fails(path, "truncated", "300 samples promised")
    Path(path + ".dat").write_bytes(b"")
    fails(path, "truncated")


@pytest.mark.parametrize("fmt", ["212", "24", "8", "310", "516"])
@pytest.mark.parametrize("content", [b"", b"fLaC" + b"\0" * 50, b"\0" * 10])
def test_truncated_signal_in_other_formats(tmp_path, fmt, content):
    path = write(tmp_path, fmt=fmt)
    Path(path + ".dat").write_bytes(content)
    fails(path)


SIGNAL = "r.dat 16 1000/mV 16 0 0 0 0 I\n"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        (b"r 1 100 300\0\x80\x01", "binary"),
        (os.urandom(500) + b"\0", "binary"),
        ("time,I,II\n0,0.1,0.2\n", "not a WFDB header"),
        ("Patient 12 CANARY 1950\n", "a sampling rate of letters makes no sense"),
        ("r 1 100 300\nJane CANARY\n", "line 2 does not describe a signal"),
        ("# only a comment\n", "not a WFDB header"),
        ("r 1 0 300\n" + SIGNAL, "sampling rate"),
        ("r 1 -100 300\n" + SIGNAL, "sampling rate"),
        ("r 1 nan 300\n" + SIGNAL, "sampling rate"),
        ("r 1 20 300\n" + SIGNAL, "50 to 2000"),
        ("r 1 5000 300\n" + SIGNAL, "50 to 2000"),
        ("r 1 100 100000000000\n" + SIGNAL, "truncated"),
        ("r 1 100 1" + "0" * 400 + "\n" + SIGNAL, "number of samples"),
        ("r 1 100 -300\n" + SIGNAL, "number of samples"),
        ("r 0 100 300\n", "number of signals"),
        ("r -1 100 300\n" + SIGNAL, "number of signals"),
        ("r 1000000 100 300\n" + SIGNAL, "number of signals"),
        ("r 2 100 300\n" + SIGNAL, "promises 2"),
        ("r 1 100 30\n" + SIGNAL, "too short"),
        ("r 1 100 300\nr.dat 16 1000/mV 16 0 0 0 0 PLETH\n", "PLETH"),
        ("r 1 100 300\nr.dat 999 1000/mV 16 0 0 0 0 I\n", "format 999"),
        ("r 1 100 300\nr.dat 16x99999999 1000/mV 16 0 0 0 0 I\n", "samples per frame"),
        ("r 1 100 300\nr.dat 16+99999999999 1000/mV 16 0 0 0 0 I\n", "truncated"),
        ("r 1 100 300\nr.dat\n", "does not describe a signal"),
        ("r 1 100 300\n" + "/" * 100_000 + "\n", "not a WFDB header"),
        ("#" + "x" * 3_000_000, "too long"),
        ("r/1000 1 100 300\n" + SIGNAL, "promises 1000 segments"),
        ("r/1 1 100 300\nr 300\n", "has segments itself"),
        ("r/1 1 100 300\n../r 300\n", "not in its own folder"),
        ("r/2 1 100 300\n~ 99999999999\n~ 300\n", "gaps"),
        ("r/1 1 100 300\nr 300 1\n", "segment line"),
    ],
)
def test_absurd_headers_get_one_clear_line(tmp_path, header, words):
    fails(write(tmp_path, header=header) + ".hea", words)


@pytest.mark.parametrize(
    "name", ["../secret.dat", "/etc/passwd", "..", "-", "a/../../secret.dat", "c:\\x.dat", "http://example.org/x.dat"]
)
@pytest.mark.parametrize("fmt", ["16", "212"])
def test_a_header_cannot_reach_out_of_its_folder(tmp_path, name, fmt):
    (tmp_path / "secret.dat").write_bytes(bytes(10_000))
    (tmp_path / "in").mkdir()
    header = f"r 1 100 300\n{name} {fmt} 1000/mV 16 0 0 0 0 I\n"
    fails(write(tmp_path / "in", header=header), "not in its own folder")


def test_nor_through_a_link_or_a_pipe(tmp_path):
    (tmp_path / "secret.dat").write_bytes(bytes(10_000))
    (tmp_path / "in").mkdir()
    path = write(tmp_path / "in")
    os.remove(path + ".dat")
    os.symlink("../secret.dat", path + ".dat")
    fails(path, "link that leaves the folder")
    os.remove(path + ".dat")
    os.mkfifo(path + ".dat")
    fails(path, "missing")


def test_a_folder_of_linked_records_is_read(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "linked").mkdir()
    path = write(tmp_path / "in")
    for extension in (".hea", ".dat"):
        os.symlink(path + extension, tmp_path / "linked" / ("r" + extension))
    assert read_ecg(tmp_path / "linked" / "r").signal.shape == (1, 300)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.sampled_from(
            ["r", "r/2", "1", "2", "100", "300", "0", "-1", "\n", "\n", "\n", "r.dat", "16", "212", "16x3:2+4", "8"]
            + ["516", "1000/mV", "1e400(9)/uV", "(", "/", "~", "#", "I", "ECG", "..", "99999999999", "é", "1_0", "0x1F"]
        ),
        max_size=30,
    )
)  # fmt: skip
def test_any_other_header_is_read_or_refused(tmp_path, words):
    path = write(tmp_path, header=" ".join(words))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ecg = read_ecg(path)
    except EcgclipError as error:
        assert path in str(error)
        assert "\n" not in str(error)
    else:
        assert ecg.seconds >= 2
        assert ecg.leads


def test_reading_a_common_record_imports_nothing_slow(tmp_path):
    path = write(tmp_path)
    code = (
        "import sys; from ecgclip.io.read import read_ecg; from ecgclip.prepare import prepare; "
        "from ecgclip.measure import findings, measure_windows, observe; "
        f"prepare(read_ecg({path!r})); print(*[m for m in ('wfdb', 'pandas', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- real records


@pytest.mark.data
@needs_data
def test_every_challenge_2020_record_is_read():
    records = find_records(Path(DATA, "challenge-2020"))
    ecgs = [read_ecg(record) for record in records]
    assert len(ecgs) == 131
    assert all(e.leads == LEADS for e in ecgs)
    assert all(e.metadata["dx"] for e in ecgs)
    assert {e.sampling_rate for e in ecgs} == {500, 1000}
    assert all(0.03 < np.nanmedian(np.nanstd(e.signal[:6], axis=1)) < 2 for e in ecgs)


@pytest.mark.data
@needs_data
def test_real_records_agree_with_wfdb():
    import wfdb

    for folder in ("mitdb", "challenge-2017", "challenge-2011", "challenge-2020", "ptb-xl/records500"):
        for record in find_records(Path(DATA, folder))[:3]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                ecg = read_ecg(record)
            theirs = wfdb.rdrecord(record)
            assert ecg.sampling_rate == theirs.fs
            np.testing.assert_allclose(ecg.signal, theirs.p_signal.T, atol=1e-5)
