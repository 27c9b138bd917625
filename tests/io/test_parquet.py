"""Parquet files: a column for each lead, or a row for each ECG."""

import io

import numpy as np
import pytest
from arrays_written import LEADS, check_mutations, read, refused, samples, smooth

from ecgclip import read_ecg
from ecgclip.io import arrays
from ecgclip.io.parquet import count_parquet, read_parquet

pa = pytest.importorskip("pyarrow")
ECG = smooth()


def written(columns, said=None, **options):
    import pyarrow.parquet as parquet

    table = pa.table(columns)
    file = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(said) if said else table, file, **options)
    return file.getvalue()


def leads(signal=ECG, names=LEADS):
    return {name: row for name, row in zip(names, signal, strict=True)}


@pytest.mark.parametrize("compression", ["snappy", "zstd", "none"])
def test_columns_are_leads(compression):
    recording = read(written(leads(), {"sampling_rate": "500", "unit": "mV"}, compression=compression))
    assert [(c.name, c.unit, c.rate) for c in recording.channels] == [(lead, "mV", 500) for lead in LEADS]
    assert np.allclose(samples(recording), ECG)


@pytest.mark.parametrize(
    "times",
    [
        {"time_s": np.arange(2000) / 250},
        {"time": np.arange(2000) * 4},
        {"timestamp": np.datetime64("2021-03-28T09:40", "ns") + np.arange(2000) * np.timedelta64(4_000_000, "ns")},
    ],
)
def test_a_column_of_times_gives_the_rate(times):
    recording = read(written({**times, **leads(ECG[:2], ("I [mV]", "II [mV]")), "beat": ["N"] * 2000}))
    assert [(c.name, c.unit, c.rate) for c in recording.channels] == [("I", "mV", 250), ("II", "mV", 250)]


def test_missing_values_are_nan():
    values = [None, *ECG[0, 1:]]
    assert np.isnan(samples(read(written({"I": values})))).sum() == 1


@pytest.mark.parametrize("groups", [1, 4])
def test_a_row_for_each_ecg_is_read_one_by_one(groups):
    rows = [ECG * (1 + k / 10) for k in range(4)]
    columns = {"record": list("abcd"), "fs": [100, 200, 300, 400], "age": [40, 50, 60, 70]}
    columns["signal"] = pa.array([row.tolist() for row in rows])
    data = written(columns, row_group_size=4 // groups)
    for k in range(4):
        recording = read(data, index=k)
        assert recording.channels[0].rate == 100 * (k + 1) and recording.metadata["age"] == 40 + 10 * k
        assert np.allclose(samples(recording), rows[k])
    with refused("holds 4 ECGs"):
        read(data)


def test_a_list_for_each_lead_is_read():
    recording = read(written({"II": [ECG[1].tolist()], "V1": [ECG[6].tolist()], "fs": [500]}))
    assert [(c.name, c.rate) for c in recording.channels] == [("II", 500), ("V1", 500)]
    assert np.allclose(samples(recording), ECG[[1, 6]])


def test_numbers_that_repeat_far_more_often_than_the_file_explains_are_refused(monkeypatch):
    monkeypatch.setattr(arrays, "FREE_MEMORY", 1 << 16)
    monkeypatch.setattr("ecgclip.io.parquet.EXPANSION", 10)
    with refused("^file: .*far more memory"):
        read(written({"I": np.zeros(3_000_000, np.int8)}))


@pytest.mark.parametrize("columns", [{"name": ["a", "b"]}, {"signal": [[[1.0, 2.0], [3.0]]]}, {"signal": [[1.0, 2.0]]}])
def test_other_files_are_refused(columns):
    with refused("^file: |no ECG"):
        read_ecg(io.BytesIO(written(columns)), name="file", sampling_rate=500)


def test_damage_is_told_in_one_line():
    check_mutations(written(leads(ECG[:2, :300], LEADS[:2])), read_parquet, seed=1)
    listed = written({"fs": [500] * 3, "signal": [ECG[:2, :300].tolist()] * 3})
    check_mutations(listed, lambda file: (count_parquet(file), read_parquet(file)), seed=2)


@pytest.mark.data
@pytest.mark.parametrize("name", ["columns_mV", "list_column", "time_and_leads"])
def test_made_files_equal_the_truth(formats, name):
    truth = np.load(formats / "made/truth.npz")
    ecg = read_ecg(formats / f"made/{name}.parquet")
    assert ecg.leads == LEADS and ecg.sampling_rate == 500
    assert np.abs(ecg.signal - truth["signal"]).max() <= 0.0005
