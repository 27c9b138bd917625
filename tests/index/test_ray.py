"""Embedding by Ray: nothing is lost or doubled when workers are killed, a run stops, or a shard is damaged."""

import json
import os
import signal
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.index import ray as ray_engine
from ecgclip.index.engines import embed_records
from ecgclip.index.shards import left_over, read_shard
from ecgclip.io.records import find_records

os.environ |= ray_engine.QUIET  # read by Ray as it is imported

RECORDS, BATCH = 96, 8


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A folder of many records: one simulated, the others made from it, each another."""
    from ecgclip.simulate import simulate, write_record

    folder = tmp_path_factory.mktemp("archive")
    first = Path(write_record(simulate("normal", seed=1, sampling_rate=100), folder / "r000"))
    samples, header = np.fromfile(first.with_suffix(".dat"), "<i2"), first.read_text()
    rng = np.random.default_rng(0)
    for i in range(1, RECORDS):
        shifted = np.roll(samples.reshape(-1, 12), rng.integers(1000), 0) * rng.uniform(0.5, 1.5)
        shifted.astype("<i2").tofile(folder / f"r{i:03}.dat")
        (folder / f"r{i:03}.hea").write_text(header.replace("r000", f"r{i:03}"))
    return folder


@pytest.fixture
def jobs(archive, monkeypatch):
    monkeypatch.setattr("ecgclip.index.engines.BATCH", BATCH)
    return [(record, record, "") for record in find_records(archive)]


@pytest.fixture
def embedder(model, tmp_path):
    """A worker in this process, its shards in tmp_path/shards."""
    (tmp_path / "shards").mkdir(exist_ok=True)
    worker = ray_engine.Embedder(str(model.folder), model.weights_sha256, str(tmp_path / "shards"), {})
    worker.model = model
    return worker


@pytest.fixture
def embedded(monkeypatch, embedder):
    """The tasks are that worker's, without Ray; → the jobs it was given."""
    given = []

    def run(tasks, worker, workers):
        for task in tasks:
            given.extend(job for batch in task for job in batch)
            yield work(embedder, task)

    monkeypatch.setattr(ray_engine, "_run", run)
    return given


def work(embedder, task):
    """The shard's name. Raises what went wrong."""
    result = embedder({"task": [json.dumps(task)]})
    if result["error"] != [""]:
        raise EcgclipError(result["error"][0])
    return result["shard"][0]


def by_ray(jobs, model, folder):
    return [row for rows in embed_records(jobs, model, 2, "ray", folder) for row in rows]


def same(rows, jobs, model):
    """Each record once, with the vectors and facts of the local engine."""
    expected = {row.file: row for rows in embed_records(jobs, model, 1, "local", Path()) for row in rows}
    assert sorted(row.file for row in rows) == sorted(expected)
    for row in rows:
        other = expected[row.file]
        np.testing.assert_allclose(row.vectors.astype(float), other.vectors.astype(float), atol=2e-3)
        assert {**vars(row), "vectors": 0} == {**vars(other), "vectors": 0}


class Mortal(ray_engine.Embedder):
    """Is killed whenever it embeds r003, and the first time it embeds r050; logs what it sets out to embed."""

    def __init__(self, *args):
        super().__init__(*args)
        embed, log = ray_engine.embed_batch, self.shards.parent.with_name("log")

        def mortal(jobs, model, reading):
            names = [file[-4:] for file, _, _ in jobs]
            kills = "r003" in names or "r050" in names and "r050" not in log.read_text()
            with log.open("a") as file:
                file.write(json.dumps([os.getpid(), names]) + "\n")
            if kills:
                os.kill(os.getpid(), signal.SIGKILL)
            return embed(jobs, model, reading)

        ray_engine.embed_batch = mortal


@pytest.mark.skipif(find_spec("ray") is None, reason='needs ray: pip install "ecgclip[ray]"')
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing here is killed like that")
def test_a_killed_worker_costs_its_shard_a_retry_and_a_record_that_kills_is_listed(
    jobs, model, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(ray_engine, "Embedder", Mortal)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # workers find Mortal by name
    (tmp_path / "log").touch()
    (tmp_path / "index").mkdir()
    rows = by_ray(jobs, model, tmp_path / "index")
    assert capfd.readouterr() == ("", "")
    assert not list((tmp_path / "index").iterdir())
    assert [row.error for row in rows if row.vectors is None] == [f"{jobs[3][0]}: {ray_engine.DIED}"]
    same([row for row in rows if row.vectors is not None], jobs[:3] + jobs[4:], model)

    begun = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len({pid for pid, _ in begun}) >= 4  # three were killed
    times = Counter(name for _, names in begun for name in names)
    assert times["r003"] == times["r050"] == 2
    assert {name[:3] for name in times if times[name] > 1} <= {"r00", "r04", "r05"}
    assert max(times.values()) <= 3


def test_what_an_interrupted_run_left_is_stored_and_not_embedded_again(jobs, model, tmp_path, embedder, embedded):
    first = embed_records(jobs, model, 2, "ray", tmp_path)
    stored = [*next(first), *next(first)]
    first.close()  # the second shard was stored, but not yet deleted
    whole, damaged = jobs[40:48], jobs[48:56]
    work(embedder, [whole])
    file = tmp_path / "shards" / work(embedder, [damaged])
    file.write_bytes(file.read_bytes()[:-1])
    (tmp_path / "shards/foreign.safetensors").write_bytes(b"no shard")
    (tmp_path / "shards/x.busy").touch()
    embedded.clear()

    left = [job for job in jobs if job[0] not in {row.file for row in stored}]
    same([*stored, *by_ray(left, model, tmp_path)], jobs, model)
    assert sorted(embedded) == [job for job in left if job not in whole]
    assert not list(tmp_path.iterdir())


def test_a_shard_of_other_weights_or_of_a_record_changed_since_is_not_used(jobs, model, tmp_path, embedder, embedded):
    work(embedder, [jobs[1:3]])
    os.utime(jobs[1][0] + ".dat", ns=(1, 1))
    embedder.weights_sha256 = "0" * 64
    work(embedder, [jobs[:1]])
    embedder.weights_sha256 = model.weights_sha256
    same(by_ray(jobs[:4], model, tmp_path), jobs[:4], model)
    assert embedded == [jobs[i] for i in (0, 1, 3)]


@pytest.mark.parametrize("part", ["rows", "weights", "vectors"])
def test_no_bit_of_a_shard_changes_unseen(jobs, model, embedder, part):
    file = embedder.shards / work(embedder, [jobs[:2]])
    content = bytearray(file.read_bytes())
    at = {"rows": content.index(b"seconds"), "weights": content.index(model.weights_sha256.encode()), "vectors": -5}
    assert len(read_shard(file, model.weights_sha256)) == 2
    content[at[part]] ^= 1
    file.write_bytes(content)
    assert read_shard(file, model.weights_sha256) is None


def test_a_worker_may_die_once_for_any_record_but_not_for_every_record_twice(jobs, model, embedder, monkeypatch):
    class Killed(BaseException):
        pass

    with monkeypatch.context() as deadly:
        deadly.setattr(ray_engine, "embed_batch", Mock(side_effect=Killed))
        for task in 3 * [[jobs[:2]]] + [[jobs[2:3]]]:  # the batch, then each alone; a batch of one record
            with pytest.raises(Killed):
                work(embedder, task)
        with pytest.raises(EcgclipError, match="fewer --workers"):
            work(embedder, [jobs[:2]])
    same(read_shard(embedder.shards / work(embedder, [jobs[2:3]]), model.weights_sha256), jobs[2:3], model)


def test_what_goes_wrong_in_a_worker_is_one_line(jobs, model, tmp_path):
    def line(folder, weights, shards):
        with pytest.raises(EcgclipError) as error:
            work(ray_engine.Embedder(str(folder), weights, str(shards), {}), [jobs[:2]])
        return str(error.value)

    assert "storage that all share" in line(model.folder, model.weights_sha256, tmp_path / "elsewhere")
    assert "other weights" in line(model.folder, "0" * 64, tmp_path)
    assert "neither a folder with a model" in line(tmp_path / "gone", model.weights_sha256, tmp_path)


def test_without_ray_the_way_to_install_it_is_said(jobs, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EcgclipError, match=r'--engine ray needs ray: pip install "ecgclip\[ray\]"'):
        by_ray(jobs, model, tmp_path)


def test_what_was_read_with_other_options_is_embedded_again(embedder, jobs):
    work(embedder, [jobs[:2]])
    wanted = {file: record for file, record, _ in jobs[:2]}
    assert not list(left_over(embedder.shards, embedder.weights_sha256, dict(wanted), {"unit": "nV"}))
    work(embedder, [jobs[:2]])
    assert list(left_over(embedder.shards, embedder.weights_sha256, wanted, {"unit": None}))
