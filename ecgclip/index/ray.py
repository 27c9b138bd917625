"""Embedding an archive with Ray Data, on one machine or on a cluster: `ecgclip index build ... --engine ray`.

    batches ──Ray Data──▶ Embedder, an actor a core ──▶ DIR/shards, a file a task ──▶ rows for the index

Ray carries no more than names: vectors go by file, so that a worker that dies costs the shard it was at, and the next run
finds what this one left. DIR, records and weights must lie where all machines see them by the same paths.
Entry point: `embed_by_ray`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ecgclip.ecg import EcgclipError
from ecgclip.files import replacing
from ecgclip.index import workers
from ecgclip.index.workers import Job, Row, cores
from ecgclip.io.records import record_stamp
from ecgclip.model.clip import ECGCLIP

TASKS = 10_000  # at most, as Ray Data starts some hundred a second: ten million records get shards of several batches
DIED = "its worker died twice, perhaps for want of memory: run the same command again, with fewer --workers"
QUIET = {  # Ray's reports home, the log of its C++ half, and news of dead workers, which are ours to deal with
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}


def embed_by_ray(
    batches: Sequence[Sequence[Job]], model: ECGCLIP, workers: int | None, folder: Path
) -> Iterator[list[Row]]:
    """Rows of all jobs, a shard at a time; who asks for the next has stored the last, which is then deleted.

    On the cluster that RAY_ADDRESS names ("auto": the one of this machine), else on a Ray of our own on this machine.
    """
    shards, weights = Path(folder).absolute() / "shards", model.weights_sha256
    shards.mkdir(exist_ok=True)
    wanted = {file: record for batch in batches for file, record, _ in batch}
    yield from _left_over(shards, weights, wanted)
    batches = [some for batch in batches if (some := [job for job in batch if job[0] in wanted])]
    size = max(1, -(-len(batches) // TASKS))
    tasks = [batches[i : i + size] for i in range(0, len(batches), size)]
    for name in _run(tasks, (str(Path(model.folder).absolute()), weights, str(shards)), workers) if tasks else ():
        if (rows := _read(shards / name, weights)) is None:
            raise EcgclipError(f"{shards / name}: lost or damaged since a worker wrote it; run the same command again")
        yield rows
        (shards / name).unlink(missing_ok=True)
    with suppress(OSError):  # a worker that was taken for dead may still write; the next run clears it away
        for path in shards.iterdir():  # halves, doubles and marks, from workers that died
            path.unlink(missing_ok=True)
        shards.rmdir()


class Embedder:
    """An actor: loads the model once, writes a shard a call, and returns its name, or what went wrong in a line."""

    def __init__(self, folder: str, weights: str, shards: str):
        self.folder, self.weights, self.shards = folder, weights, Path(shards)

    @cached_property
    def model(self) -> ECGCLIP:
        workers.start_worker(self.folder)
        model = workers._MODEL[0]
        if model.weights_sha256 != self.weights:
            raise EcgclipError(f"{self.folder}: other weights on a worker than here; all machines need the same")
        return model

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        task = str(batch["task"][0])
        name = f"{_hash(task.encode())}.safetensors"  # that of the work: what is done twice is there once
        try:
            if not self.shards.is_dir():
                raise EcgclipError(f"{self.shards}: not seen by a worker; the index must lie on storage that all share")
            rows = [row for jobs in json.loads(task) for row in self._rows(jobs)]
            _write(self.shards / name, rows, self.weights, self.model.config.ecg.dim)
        except Exception as error:
            reason = str(error) if isinstance(error, EcgclipError) else f"unexpected {error!r:.300}"
            return {"shard": [""], "error": [reason]}
        return {"shard": [name], "error": [""]}

    def _rows(self, jobs: Sequence[Job], alone: bool = False) -> list[Row]:
        """Ray repeats for ever what kills its workers: so a batch that did is taken one by one, and a record that did not at all."""
        busy = self.shards / f"{_hash(json.dumps([jobs, alone]).encode())}.busy"
        if not busy.exists():
            busy.touch()
            rows = workers.embed_batch(jobs, self.model)
            busy.unlink(missing_ok=True)  # where a worker died it stays until the run ends
            return rows
        if alone:
            return [Row(*jobs[0][:2], f"{jobs[0][0]}: {DIED}")]
        rows = [row for job in jobs for row in self._rows([job], alone=True)]
        if len(rows) > 1 and all(row.error.endswith(DIED) for row in rows):
            raise EcgclipError(rows[0].error)  # it is not the records
        return rows


# --- Ray --------------------------------------------------------------------------------------------------------------


def _run(tasks: list[list[Sequence[Job]]], worker: tuple[str, str, str], workers: int | None) -> Iterator[str]:
    """Names of shards, each once, as they are written."""
    with _connected(workers) as ray:
        workers = workers or int(ray.cluster_resources().get("CPU", 1))
        pool = ray.data.ActorPoolStrategy(size=min(workers, len(tasks)))
        # a block a task: a block is what Ray hands on, and what it repeats when a worker dies, as often as it takes
        data = ray.data.from_items([{"task": json.dumps(task)} for task in tasks], override_num_blocks=len(tasks))
        data = data.map_batches(Embedder, fn_constructor_args=worker, batch_size=1, compute=pool, num_cpus=1)
        fetched = set()
        for row in data.iter_rows():
            if row["error"]:
                raise EcgclipError(row["error"])
            if row["shard"] not in fetched:
                fetched.add(row["shard"])
                yield row["shard"]


@contextmanager
def _connected(workers: int | None) -> Iterator[Any]:
    """Ray, quiet; stopped at the end if it was not running before."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    try:
        import ray
        import ray.data
    except ImportError:
        raise EcgclipError('--engine ray needs ray: pip install "ecgclip[ray]"') from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    address, running = os.environ.get("RAY_ADDRESS"), ray.is_initialized()
    try:
        if not running:
            alone = {} if address else {"num_cpus": workers or cores(), "include_dashboard": False}
            with _silence():
                ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **alone)
        yield ray
    except EcgclipError:
        raise
    except Exception as error:
        raise EcgclipError(f"Ray: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from None
    finally:
        if not running:
            ray.shutdown()


@contextmanager
def _silence() -> Iterator[None]:
    """For what is written to the terminal past sys.stderr."""
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


# --- shards -----------------------------------------------------------------------------------------------------------


def _left_over(shards: Path, weights: str, wanted: dict[str, str]) -> Iterator[list[Row]]:
    """What an interrupted run embedded and did not store; those records are taken out of `wanted`."""
    for path in sorted(shards.iterdir()):
        rows = [row for row in _read(path, weights) or () if _still_true(row, wanted)]
        if rows:
            yield rows
        for row in rows:
            del wanted[row.file]
        path.unlink(missing_ok=True)


def _still_true(row: Row, wanted: dict[str, str]) -> bool:
    """Whether embedding the record now would give this row again; errors and unchanged records are cheap to look at again."""
    asked = row.vectors is not None and wanted.get(row.file) == row.record
    return asked and record_stamp(row.file) == (row.size, row.mtime_ns)


def _write(path: Path, rows: list[Row], weights: str, dim: int) -> None:
    """Vectors float16 (windows of all rows, dim), and the rows as JSON with how many of the vectors are theirs."""
    own = [row.vectors for row in rows if row.vectors is not None]
    vectors = np.concatenate([np.empty((0, dim), np.float16), *own])
    facts = json.dumps([{**vars(r), "vectors": None if r.vectors is None else len(r.vectors)} for r in rows]).encode()
    with replacing(path) as partial:
        save_file(
            {"rows": np.frombuffer(facts, np.uint8), "vectors": vectors},
            partial,
            {"weights": weights, "sha256": _hash(facts, vectors.tobytes())},
        )


def _read(path: Path, weights: str) -> list[Row] | None:
    """None: not whole, of other weights, or no shard."""
    try:
        with safe_open(path, "np") as file:
            metadata, facts, vectors = file.metadata(), file.get_tensor("rows").tobytes(), file.get_tensor("vectors")
        if (metadata["weights"], metadata["sha256"]) != (weights, _hash(facts, vectors.tobytes())):
            return None
        rows, start = [], 0
        for fields in json.loads(facts):
            if (count := fields["vectors"]) is not None:
                fields["vectors"], start = vectors[start : start + count], start + count
            rows.append(Row(**fields))
        return rows
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:32]
