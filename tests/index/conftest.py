"""Indexes and archives for the tests of the index."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from index_stubs import DIM, as_vectors, build, on_circle, stub

from ecgclip.ecg import ECG
from ecgclip.index import embedding
from ecgclip.index.archive import ECGIndex
from ecgclip.index.embedding import SEX
from ecgclip.io.read import read_ecg
from ecgclip.model.store import load_model
from ecgclip.simulate import simulate, write_record


@pytest.fixture(scope="session")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """Seven simulated records; `long` lasts 24 s."""
    folder = tmp_path_factory.mktemp("archive")
    for i, name in enumerate(("af", "normal", "lbbb", "lvh", "paced", "anterior-stemi")):
        write_record(simulate(name, seed=i, sampling_rate=100), folder / name)
    write_record(simulate("pvc", seed=1, seconds=24, sampling_rate=100), folder / "long")
    return folder


@pytest.fixture(scope="session")
def built(archive, model, tmp_path_factory):
    """The index of `archive`, which tests do not change."""
    return ECGIndex.build([archive], tmp_path_factory.mktemp("built") / "index", model=model, workers=1)


@pytest.fixture
def index(built, tmp_path):
    """The folder of a copy of `built`, which a test may change."""
    return shutil.copytree(built.folder, tmp_path / "copy")


@pytest.fixture
def embedded(monkeypatch, model):
    """Stubs are embedded as the vectors in their samples; gives the names of the records embedded so far."""
    done = []

    def embed_each(rows, read):
        for row in rows:
            try:
                ecg = read(row)
            except Exception as error:
                yield row, error
            else:
                done.append(Path(row.file).name)
                yield row, ecg

    def row_of(row, ecg, noise, model):
        vectors = as_vectors(ecg)
        return replace(
            row,
            leads=" ".join(ecg.leads),
            seconds=ecg.seconds,
            age=ecg.metadata["age"],
            sex=SEX.get(ecg.metadata["sex"]),
            start_s=[2.0 * i for i in range(len(vectors))],
            vectors=vectors.astype(np.float16),
        )

    monkeypatch.setattr(model, "embed_each", embed_each)
    monkeypatch.setattr(embedding, "_row", row_of)
    monkeypatch.setattr(embedding, "_noise", lambda ecgs: [[] for _ in ecgs])
    monkeypatch.setattr("ecgclip.index.engines.BATCH", 4)
    monkeypatch.setattr(model, "embed_ecg", lambda ecg: as_vectors(ecg if isinstance(ecg, ECG) else read_ecg(ecg))[:1])
    return done


@pytest.fixture
def circle(embedded, model, tmp_path):
    """Forty stubs, one degree apart, of age 0 to 39, every second one of a woman; with columns from a table."""
    for i in range(40):
        stub(tmp_path / "a", f"r{i:02}", on_circle(i), age=i, sex="FM"[i % 2])
    table = tmp_path / "facts.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        file.write('record,ward,heart rate,größe,Score,2nd,note,"q""t",age_group,window_id\n')
        for i in range(40):
            rows.writerow([f"a/r{i:02}", "ABC"[i % 3], 50 + i, 150 + i, "NaN" if i else "1e999", i, "x", 1, "", i])
    return build(tmp_path / "a", tmp_path / "index", model, facts=table)


@pytest.fixture
def cloud(embedded, tmp_path):
    """40 records of ten windows each, near the same centre."""
    rng = np.random.default_rng(0)
    for i in range(40):
        stub(tmp_path / "a", f"r{i:02}", on_circle(9 * i) + 0.1 * rng.standard_normal((10, DIM)))
    return tmp_path / "a"
