"""A million vectors in an index:  python benchmarks/million.py INDEX_DIR OUT_INDEX results/million [COUNT]

Makes an index with facts, whose windows are the embeddings of INDEX_DIR (of benchmarks/retrieval.py), each many times,
with noise of the shape of their covariance (0.3 of its standard deviation). Then measures, in a process of its own, the
time and memory to open it, the time for a query, and recall@10 against a comparison with all vectors.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

# no more than these, as the memory of the process that searches is measured
from ecgclip.index.archive import ECGIndex
from ecgclip.index.fold import fold
from ecgclip.index.search import Windows, likeness_to

QUERIES, JITTER, CHUNK = 500, 0.3, 20_000
LIKE = 100  # of the queries are asked by ECGs


def embeddings(folder: Path) -> np.ndarray:
    vectors = ECGIndex.open(folder).store.vectors
    return np.concatenate([v for _, v in vectors.chunks(np.empty(0, np.int64))])


def jittered(real: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    values, axes = np.linalg.eigh(np.cov(real.T))
    shape = (axes * np.sqrt(np.maximum(values, 0))).astype(np.float32)
    x = real[rng.integers(0, len(real), n)] + JITTER * rng.standard_normal((n, len(shape)), np.float32) @ shape.T
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def fill(folder: Path, real: np.ndarray, count: int) -> float:
    """Make an index of vectors like the real ones; returns the seconds to train, compress and write them."""
    index = ECGIndex(folder)
    index.store.create(index.model.weights_sha256, index.model.config.ecg.dim)
    rng = np.random.default_rng(0)
    leads = "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6"
    record = f"INSERT INTO records VALUES (?, ?, ?, 24300, 0, '', '{leads}', 10, ?, ?, ?, ?, '', '{{}}')"
    report = "sinus rhythm. left axis deviation. incomplete right bundle branch block."
    for first in range(1, count + 1, CHUNK):
        ids = range(first, min(first + CHUNK, count + 1))
        with index.store.transaction() as db:
            for i in ids:
                path, age, sex = f"archive/{i:08d}", float(20 + i % 70), "FM"[i % 2]
                db.execute(record, (i, f"/{path}", path, age, sex, report, '["sinus rhythm"]'))
            db.executemany("INSERT INTO windows VALUES (?, ?, 0)", ((i, i) for i in ids))
            vectors = jittered(real, len(ids), rng).astype("<f2")
            db.executemany(
                "INSERT INTO pending VALUES (?, ?)", ((i, v.tobytes()) for i, v in zip(ids, vectors, strict=True))
            )
    started = time.time()
    with index.store.writing():
        fold(index.store)
    return time.time() - started


def memory_mb() -> int:
    """The most that this process has had resident (Linux); getrusage would count its parent's."""
    status = Path("/proc/self/status").read_text()
    return round(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)


def look(folder: Path, queries: Path) -> dict:
    """Open and search, as a process that does nothing else."""
    asked, truth = np.load(queries)["queries"], np.load(queries)["truth"]
    before = memory_mb()
    started = time.perf_counter()
    index = ECGIndex.open(folder)
    opened = time.perf_counter() - started
    info = index.info()
    memory = memory_mb()
    times, recall = [], []
    for query, best in zip(asked, truth, strict=True):
        started = time.perf_counter()
        with index.store.snapshot():
            hits = Windows(index.store).nearest_records(query, 10)  # with their facts, as `search` gives them
        times.append(time.perf_counter() - started)
        recall.append(len({int(hit.record[-8:]) for hit in hits} & set(best.tolist())) / 10)
    after = memory_mb()
    alike = []
    for ecg in asked[:LIKE]:
        started = time.perf_counter()
        with index.store.snapshot():
            likeness = likeness_to(index.model, ecg)
            Windows(index.store).nearest_records(index.model.like(ecg), 10, likeness=likeness)
        alike.append(time.perf_counter() - started)
    return {
        "open_s": round(opened, 3),
        "memory_mb": memory,
        "memory_before_mb": before,
        "memory_after_queries_mb": after,
        "like_ms": round(1000 * float(np.median(alike)), 2),
        "like_first_s": round(alike[0], 2),
        "memory_after_like_mb": memory_mb(),
        "query_ms": round(1000 * float(np.median(times)), 2),
        "query_ms_95": round(1000 * float(np.quantile(times, 0.95)), 2),
        "recall_at_10": round(float(np.mean(recall)), 4),
        "lists_looked_into": index.store.vectors.nprobe,
        **{k: info[k] for k in ("weights_sha256", "kind", "windows", "bytes_a_vector", "vector_bytes", "facts_bytes")},
        "recall_at_10_said": info["recall_at_10"],
    }


def main(source: Path, folder: Path, out: Path, count: int = 1_000_000) -> None:
    from ecgclip.files import code_version, write_json

    real = embeddings(source)
    seconds = fill(folder, real, count)
    queries = jittered(real, QUERIES, np.random.default_rng(1))
    best = [(np.full((QUERIES, 10), -2.0), np.zeros((QUERIES, 10), int))]
    rng = np.random.default_rng(0)
    for first in range(1, count + 1, CHUNK):  # the same vectors again, as half precision keeps them
        vectors = jittered(real, min(CHUNK, count + 1 - first), rng).astype("<f2").astype(np.float32)
        cosine = queries @ vectors.T
        columns = np.argpartition(-cosine, 10, 1)[:, :10]
        best.append((np.take_along_axis(cosine, columns, 1), columns + first))
        scores, ids = (np.concatenate(x, 1) for x in zip(*best, strict=True))
        order = np.argsort(-scores, 1)[:, :10]
        best = [(np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1))]
    file = out / "queries.npz"
    out.mkdir(parents=True, exist_ok=True)
    np.savez(file, queries=queries, truth=best[0][1])
    measured = subprocess.run(
        [sys.executable, __file__, "--look", folder, file], check=True, stdout=subprocess.PIPE, text=True
    )
    file.unlink()
    results = {"task": "million", "jitter": JITTER, "queries": QUERIES, "compress_s": round(seconds, 1)}
    results |= {
        "code_version": code_version(),
        "command": " ".join(["python", *sys.argv]),
        **json.loads(measured.stdout),
    }
    write_json(out / "results.json", results)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    if sys.argv[1] == "--look":
        print(json.dumps(look(*map(Path, sys.argv[2:4]))))
    else:
        main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:5]))
