"""One conformance test for all readers: real and made files beside a second, independent reading of each."""

import warnings

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.io import find_records, read_ecg
from ecgclip.io.file import File
from ecgclip.io.formats import FORMATS, format_of
from ecgclip.io.identity import LENGTH

pytestmark = pytest.mark.data

HALF = 5e-4  # mV: half of what the made files store as 1
# Files made from one record, and how coarse those are that store more than 1 µV
MADE = (
    "bdf_uV.bdf", "biosig_HL7aECG.xml", "bom_crlf_quoted.csv", "columns_mV.parquet", "comment_header.csv",
    "cpsc_struct.mat", "ecg.npz", "edf_mV_ECG_labels.edf", "edf_uV.edf", "edfplus_annotations.edf", "generic.h5",
    "ishne_12lead.ecg", "ishne_3lead_var_block.ecg", "leads_by_samples_mV.npy", "leads_in_rows.csv",
    "list_column.parquet", "mortara_eli.xml", "physionet_style.csv", "samples_by_leads_uV_int16.npy", "schiller.xml",
    "scp_uncompressed_enc0.scp", "scp_uncompressed_enc1.scp", "scp_uncompressed_enc2.scp",
    "semicolon_decimal_comma.csv", "signal_fs.mat", "tab_no_header_uV.tsv", "time_and_leads.parquet",
    "time_ms_lead_I.csv", "v73.mat", "val_1000_per_mV.mat", "wfdb.hea",
)  # fmt: skip
COARSE = {"ishne_3lead_var_block.ecg": 1.25e-3}
EDF_BUGS = (
    "dot_V", "latin1_micro", "nrecords_minus_1", "no_unit", "physical_min_decimal_comma", "seconds_over_59",
    "starttime_colons", "trailing_bytes", "truncated",
)  # fmt: skip
DICOM_BUGS = ("ambulatory_sop_class", "bits_stored_12", "median_beat_first", "no_preamble_no_meta", "nul_padded_units",
              "padding_value")  # fmt: skip
# What must be refused, and what its one line says
REFUSED = {
    "aecg/fda_empty.xml": "no rhythm",
    "aecg/fda_minimum_aecg.xml": "too short",
    "edf/short_psg.edf": "no ECG lead",
    "edf/test_edfann.edf": "annotations only",
    "made/pickled_object.npy": "a pickle",
    "philips_xml/invalid-doc-type.xml": "MortaraECG",
    "philips_xml/invalid-doc-version.xml": "1.05",
    "bugs/edf/physical_range_swapped.edf": "range makes no sense",
    "bugs/ishne/physionet_rr_annotation_nsr001.ecg": "PhysioNet annotation file",
    "bugs/muse/external_entity.xml": "entities",
    "bugs/muse/only_median.xml": "no rhythm",
}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of what is assumed
        yield


def differences(ecg, reference):
    """By lead the largest difference of an ECG to {"signal", "fs", "leads"}, mV."""
    by_lead = dict(zip(map(str, reference["leads"]), reference["signal"], strict=True))
    assert set(ecg.leads) <= set(by_lead)
    assert ecg.sampling_rate == pytest.approx(float(reference["fs"]))
    found = {}
    for lead, row in zip(ecg.leads, ecg.signal, strict=True):
        n = min(len(row), len(by_lead[lead]))
        found[lead] = float(np.nanmax(np.abs(row[:n] - by_lead[lead][:n])))
    return found


def test_every_file_with_a_second_reading_is_read_alike(formats):
    references = sorted(formats.rglob("*.ref.npz"))
    assert len(references) > 15
    for reference in references:
        path = str(reference).removesuffix(".ref.npz")
        ecg = read_ecg(path)
        assert max(differences(ecg, np.load(reference)).values()) < HALF, path
        assert len(ecg.leads) >= 8, path


@pytest.mark.parametrize("name", MADE)
def test_the_same_ecg_in_every_format(formats, name):
    ecg = read_ecg(formats / "made" / name)
    assert max(differences(ecg, np.load(formats / "made/truth.npz")).values()) < COARSE.get(name, HALF)


def test_a_batch_is_a_record_for_each_ecg(formats):
    path = str(formats / "made/batch_1x12x5000.npy")
    assert find_records(path) == [path]
    assert max(differences(read_ecg(path + "#0"), np.load(formats / "made/truth.npz")).values()) < HALF
    code = str(formats / "hdf5/code15_exams_part0.hdf5")
    assert find_records(code) == [f"{code}#{i}" for i in range(4)]
    with pytest.raises(EcgclipError, match="holds 4 ECGs; name one"):
        read_ecg(code)
    with pytest.raises(EcgclipError, match="has no ECG #4"):
        read_ecg(code + "#4")


@pytest.mark.parametrize("name", EDF_BUGS)
def test_bug_reports_of_edf(formats, name):
    ecg = read_ecg(formats / f"bugs/edf/{name}.edf")
    assert max(differences(ecg, np.load(formats / "made/truth.npz")).values()) < HALF


@pytest.mark.parametrize("name", DICOM_BUGS)
def test_bug_reports_of_dicom(formats, name):
    ecg = read_ecg(formats / f"bugs/dicom/{name}.dcm")
    reference = np.load(formats / "dicom/ecgtoolkit_Example.dcm.ref.npz")
    assert max(differences(ecg, reference).values()) < HALF
    assert (ecg.metadata["age"], ecg.metadata["sex"]) == (49, "male")


def test_the_baseline_is_added_after_the_sensitivity(formats):
    shifted, plain = (
        read_ecg(formats / f"{name}.dcm") for name in ("bugs/dicom/baseline_100uV", "dicom/ecgtoolkit_Example")
    )
    np.testing.assert_allclose(shifted.signal - plain.signal, 0.1, atol=HALF)


def test_gaps_and_leads_that_are_off_are_missing(formats):
    truth = np.load(formats / "made/truth.npz")
    off = read_ecg(formats / "bugs/edf/lead_off_outside_digital_range.edf")
    fault = read_ecg(formats / "bugs/ishne/lead_fault_minus_32768.ecg")
    for ecg in (off, fault):
        assert np.isnan(ecg.signal).any()
        assert max(differences(ecg, truth).values()) < HALF
    gap = read_ecg(formats / "bugs/edf/edf_plus_D_gap_5s.edf")
    assert gap.seconds == 15
    assert np.isnan(gap.signal).all(0).sum() == 5 * gap.sampling_rate


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_ecg_is_refused_in_one_line(formats, name):
    with pytest.raises(EcgclipError, match=REFUSED[name]) as refusal:
        read_ecg(formats / name)
    assert str(refusal.value).startswith(str(formats / name))
    assert "\n" not in str(refusal.value)


def test_wfdb_headers_of_bug_reports(formats):
    truth = np.load(formats / "bugs/wfdb_truth.npz")
    for name in ("b02b", "b16"):
        ecg = read_ecg(formats / "bugs/wfdb" / name)
        np.testing.assert_allclose(ecg.signal, truth[name], atol=HALF)


def test_no_reader_tells_who_the_patient_is(formats):
    secrets = {
        "aecg/fda_subject1_0.xml": ("Clark", "SBJ-123", "19530508", "1953", "John Smith", "JMK"),
        "dicom/ecgtoolkit_Example.dcm": ("Clark", "SBJ-123", "1953"),
        "dicom/pydicom_waveform_ecg.dcm": ("642341", "1971"),
        "muse_xml/easyRecg_muse_ecg1.xml": ("JAX01234", "TEST 05", "LAST", "FIRST"),
        "philips_xml/1_04_3191723_ZZDEMOPTONLY_1-04_orig.xml": ("ZZDEMO", "ADULT", "9999", "1950"),
        "scp/scptools_test.scp": ("123456789", "test"),
    }
    for name, words in secrets.items():
        ecg = read_ecg(formats / name)
        told = repr({key: value for key, value in ecg.metadata.items() if key != "patient"}) + repr(ecg.notes)
        assert not [word for word in words if word in told], name
        assert len(ecg.metadata["patient"]) == LENGTH, "a hash stands in for the id"


def test_every_format_is_among_the_files(formats):
    """A row that no file is read by is not tested here: each has one, or a reason."""
    seen = set()
    for path in formats.rglob("*"):
        if path.is_file() and path.stat().st_size:
            try:
                seen.add(format_of(File.at(path)).name)
            except EcgclipError:
                continue
    without = {row.name for row in FORMATS} - seen
    assert without <= {"CardioSoft XML", "Apple Health", "PDF"}, "no such file is at hand; their tests write one"
