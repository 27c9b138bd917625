"""Embedding records with Ray Data, on one machine or on a cluster: `ecgclip index build ... --engine ray`.

    batches ──Ray Data──▶ Embedder, an actor for each core ──▶ DIR/shards, a file for each task ──▶ rows of the index

Ray passes only names. Vectors are written to files, so that a worker that dies costs the shard it was writing, and the
next run finds what this one left. DIR, records and weights must have the same paths on all machines.
Entry point: `embed_by_ray`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.index.embedding import Job, Row, embed_batch
from ecgclip.index.shards import left_over, read_shard, short_hash, write_shard
from ecgclip.index.workers import load_in_worker
from ecgclip.model.clip import ECGCLIP
from ecgclip.processes import cores

MAX_TASKS = 10_000  # Ray Data starts some hundred a second: of ten million records, a task has several batches
DIED = "its worker died twice, perhaps out of memory: run the same command again, with fewer --workers"
QUIET = {  # no usage reports, no log of Ray's C++ part, and no messages about dead workers, which are handled here
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
}


def embed_by_ray(
    batches: Sequence[Sequence[Job]], model: ECGCLIP, workers: int | None, folder: Path, reading: Mapping[str, Any]
) -> Iterator[list[Row]]:
    """Embed batches of records on the cluster that RAY_ADDRESS names, else on this machine.

    A shard is deleted when the next one is asked for, as its rows are stored by then.

    Parameters
    ----------
    batches : sequence of sequences of Job
        The records.
    model : ECGCLIP
        The model to embed them with.
    workers : int or None
        Number of actors; None for one on each core.
    folder : Path
        The folder of the index.
    reading : mapping
        Keyword arguments of `read_ecg`.

    Raises
    ------
    EcgclipError
        Ray is not installed or fails, a worker cannot work, or a shard is lost.
    """
    shards, weights_sha256 = Path(folder).absolute() / "shards", model.weights_sha256
    shards.mkdir(exist_ok=True)
    wanted = {file: record for batch in batches for file, record, _ in batch}
    yield from left_over(shards, weights_sha256, wanted, reading)
    tasks = _tasks(batches, wanted)
    worker = str(Path(str(model.folder)).absolute()), weights_sha256, str(shards), dict(reading)
    for name in _run(tasks, worker, workers) if tasks else ():
        if (rows := read_shard(shards / name, weights_sha256)) is None:
            raise EcgclipError(f"{shards / name}: lost or damaged since a worker wrote it; run the same command again")
        yield rows
        (shards / name).unlink(missing_ok=True)
    _clear(shards)


def _tasks(batches: Sequence[Sequence[Job]], wanted: dict[str, str]) -> list[list[list[Job]]]:
    """The batches without records that are not wanted, spread over at most MAX_TASKS tasks."""
    remaining = [jobs for batch in batches if (jobs := [job for job in batch if job[0] in wanted])]
    size = max(1, -(-len(remaining) // MAX_TASKS))
    return [remaining[i : i + size] for i in range(0, len(remaining), size)]


def _clear(shards: Path) -> None:
    """Delete what is left in the folder: partial files, duplicates and marks of workers that died."""
    with suppress(OSError):  # a worker that was taken for dead may still write; the next run clears that away
        for path in shards.iterdir():
            path.unlink(missing_ok=True)
        shards.rmdir()


class Embedder:
    """An actor of Ray: loads the model once, then writes a shard for each task.

    Parameters
    ----------
    folder : str
        The folder of the weights.
    weights_sha256 : str
        The hash that they must have.
    shards : str
        The folder to write to.
    reading : dict
        Keyword arguments of `read_ecg`.
    """

    def __init__(self, folder: str, weights_sha256: str, shards: str, reading: dict[str, Any]):
        self.folder, self.weights_sha256, self.shards, self.reading = folder, weights_sha256, Path(shards), reading

    @cached_property
    def model(self) -> ECGCLIP:
        """The model, loaded on first use."""
        model = load_in_worker(self.folder)
        if model.weights_sha256 != self.weights_sha256:
            raise EcgclipError(f"{self.folder}: other weights on a worker than here; all machines need the same")
        return model

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Do the one task of a batch: batches of jobs as JSON. Returns the name of the shard, or what went wrong."""
        task = str(batch["task"][0])
        name = f"{short_hash(task.encode())}.safetensors"  # a task that is done twice has one shard
        try:
            if not self.shards.is_dir():
                raise EcgclipError(f"{self.shards}: not seen by a worker; the index must lie on storage that all share")
            rows = [row for jobs in json.loads(task) for row in self._embed(jobs)]
            write_shard(self.shards / name, rows, self.weights_sha256, self.model.config.ecg.dim)
        except Exception as error:
            reason = str(error) if isinstance(error, EcgclipError) else f"unexpected {error!r:.300}"
            return {"shard": [""], "error": [reason]}
        return {"shard": [name], "error": [""]}

    def _embed(self, jobs: Sequence[Job], alone: bool = False) -> list[Row]:
        """Embed a batch, which a file marks as begun: Ray repeats what kills its workers for ever.

        A batch that was begun before has killed a worker: its records are embedded one by one. A record that has killed
        a worker alone is given up.
        """
        mark = self.shards / f"{short_hash(json.dumps([jobs, alone]).encode())}.busy"
        if not mark.exists():
            mark.touch()
            rows = embed_batch(jobs, self.model, self.reading)
            mark.unlink(missing_ok=True)  # if the worker dies, it stays until the run ends
            return rows
        if alone:
            file, record, _ = jobs[0]
            return [Row(file, record, f"{file}: {DIED}")]
        rows = [row for job in jobs for row in self._embed([job], alone=True)]
        if len(rows) > 1 and all(row.error.endswith(DIED) for row in rows):
            raise EcgclipError(rows[0].error)  # the records are not the cause
        return rows


# --- Ray --------------------------------------------------------------------------------------------------------------


def _run(
    tasks: list[list[list[Job]]], worker: tuple[str, str, str, dict[str, Any]], workers: int | None
) -> Iterator[str]:
    """The names of the shards, each once, when they are written; `worker` is what `Embedder` is made with."""
    with _connected(workers) as ray:
        workers = workers or int(ray.cluster_resources().get("CPU", 1))
        pool = ray.data.ActorPoolStrategy(size=min(workers, len(tasks)))
        # one task a block: a block is what Ray hands on, and what it repeats when a worker dies
        data = ray.data.from_items([{"task": json.dumps(task)} for task in tasks], override_num_blocks=len(tasks))
        data = data.map_batches(Embedder, fn_constructor_args=worker, batch_size=1, compute=pool, num_cpus=1)
        names = set()
        for row in data.iter_rows():
            if row["error"]:
                raise EcgclipError(row["error"])
            if row["shard"] not in names:
                names.add(row["shard"])
                yield row["shard"]


@contextmanager
def _connected(workers: int | None) -> Iterator[Any]:
    """Ray, without its messages; it is stopped at the end unless it was running before."""
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
            local = {} if address else {"num_cpus": workers or cores(), "include_dashboard": False}
            with _no_stderr():
                ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **local)
        yield ray
    except EcgclipError:
        raise
    except Exception as error:
        raise EcgclipError(f"Ray: {type(error).__name__}: {' '.join(str(error).split())[:300]}") from None
    finally:
        if not running:
            ray.shutdown()


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Discard what is written to the terminal, be it past sys.stderr."""
    terminal = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
