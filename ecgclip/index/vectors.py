"""Vectors on disk: a FAISS file that is checked before it is read, searched by inner product of unit vectors.

exact   half-precision vectors, all compared: up to some 100,000
ivf     their principal axes, in half precision, in inverted lists, memory-mapped: beyond

Embeddings fill few of their dimensions, whose axes are found in a second. As the nearest of many
differ by thousandths, 16 bits for each of few axes find more of them than 8 bits for each of twice as many; product quantisation to as
many bytes (Jégou et al. 2011) takes minutes of k-means besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.files import file_sha256, replacing

KINDS = ("exact", "ivf")
LEFT_OUT = 2e-4  # of the energy (squared singular values), by the axes that are kept …
AXES = 72  # … of which there are this many at most, two bytes each
SAMPLE = 300  # queries by which recall is measured
RECALL = 0.97  # aimed at when the number of lists to look into is chosen …
GAIN = 0.001  # … unless twice as many lists find no more than this
MARGIN = 4  # vectors looked at, at least, for one that is found
OUTGROWN = 1.5  # times as many lists as an ivf has would suit it: it has more than doubled
TRAIN = 32  # vectors that k-means looks at for each of its means
Chunks = Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


class VectorFile:
    """One FAISS file, open for searching. kind is one of `KINDS`; nprobe, how many lists a query looks into."""

    def __init__(self, path: Path, index: Any, nprobe: int):
        self.path, self.index, self.nprobe = path, index, nprobe
        self.kind = "ivf" if hasattr(index, "chain") else "exact"

    def __len__(self) -> int:
        return self.index.ntotal

    @classmethod
    def open(cls, path: Path, sha256: str, nprobe: int, dim: int) -> VectorFile:
        """Memory-mapped. Raises EcgclipError if it is not, byte for byte, the file of that hash: FAISS never sees another."""
        if not path.is_file():
            raise EcgclipError(f"{path}: missing; build the index again")
        if file_sha256(path) != sha256:
            raise EcgclipError(f"{path}: truncated or edited since it was written; build the index again")
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
        except RuntimeError:
            index = None
        if not _ours(index, dim) or nprobe < 1:
            raise EcgclipError(f"{path}: not a file of vectors as an index has them; build the index again")
        return cls(path, index, nprobe)

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None, dead: np.ndarray
    ) -> list[tuple[int, float]]:
        """(id, cosine) of at most k vectors, best first: of the ids in `allowed` (None: all) and not in `dead`."""
        share, select = 1.0, None
        if allowed is not None:
            share = min(1.0, max(len(allowed), 1) / max(len(self), 1))
            select = _selector(allowed)
        elif len(dead):
            select = faiss.IDSelectorNot(_selector(dead))
        if self.kind == "exact":
            parameters = faiss.SearchParameters(sel=select)
        else:  # the fewer may be found and the more are wanted, the more lists it takes to find them
            lists = _lists(self.index)
            least = MARGIN * k * lists / max(len(self), 1)  # lists of that many vectors
            parameters = _looking_into(min(lists, math.ceil(max(self.nprobe, least) / share)), select)
        scores, ids = self.index.search(vector[None].astype(np.float32), k, params=parameters)
        return [(int(i), float(s)) for i, s in zip(ids[0], scores[0], strict=True) if i >= 0]

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """float32 (n, dim) of stored ids, as far as the file keeps them."""
        if self.kind == "exact":
            return self.index.reconstruct_batch(ids)
        ivf = faiss.downcast_index(self.index.index)
        if ivf.direct_map.no():  # where each id lies: half a second a million, on the first use
            ivf.set_direct_map_type(faiss.DirectMap.Hashtable)
        return ivf.reconstruct_batch(ids) @ self._axes

    def chunks(self, dead: np.ndarray, size: int = 65_536) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """ids and vectors float32 (n, dim) of all but the dead, as far as the file keeps them."""
        for ids, vectors in self._exact_chunks(size) if self.kind == "exact" else self._ivf_chunks(size):
            keep = ~np.isin(ids, dead)
            if keep.any():
                yield ids[keep], vectors[keep]

    def _exact_chunks(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        ids = faiss.vector_to_array(self.index.id_map)
        for start in range(0, len(ids), size):
            yield ids[start : start + size], self.index.index.reconstruct_n(start, min(size, len(ids) - start))

    def _ivf_chunks(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        ivf, lists = faiss.downcast_index(self.index.index), faiss.downcast_index(self.index.index).invlists
        ids, held, waiting = [], [], 0
        for number, centre in enumerate(ivf.quantizer.reconstruct_n(0, ivf.nlist)):
            if many := lists.list_size(number):
                ids.append(faiss.rev_swig_ptr(lists.get_ids(number), many).copy())
                codes = faiss.rev_swig_ptr(lists.get_codes(number), many * ivf.code_size)
                # as QT_fp16 writes how far they are off their centre
                held.append(codes.view("<f2").reshape(many, ivf.d) + centre)
                waiting += many
            if waiting and (waiting >= size or number == ivf.nlist - 1):
                yield np.concatenate(ids), np.concatenate(held) @ self._axes
                ids, held, waiting = [], [], 0

    @property
    def _axes(self) -> np.ndarray:
        """float32 (kept, dim), of an ivf file."""
        turn = faiss.downcast_VectorTransform(self.index.chain.at(0))
        return faiss.vector_to_array(turn.A).reshape(turn.d_out, turn.d_in)

    @classmethod
    def write(
        cls, path: Path, kind: str, old: VectorFile | None, dead: np.ndarray, waiting: Chunks, dim: int
    ) -> dict[str, Any]:
        """Write `old` without `dead` and with what waits; → kind, vectors_sha256, nprobe and the recall@10 measured.

        From exact to ivf axes and lists are trained, and again where an ivf has outgrown its lists (`OUTGROWN`); between, it keeps
        them, and the recall once measured. Raises EcgclipError where ivf should become exact: its vectors are no longer there.
        """
        facts: dict[str, Any] = {"nprobe": 1, "recall": 1.0}
        outgrown = False
        if old is not None and old.kind == kind == "ivf":
            count = len(old) - len(dead) + sum(len(ids) for ids, _ in waiting())
            outgrown = _list_count(count) > OUTGROWN * _lists(old.index)
        if old is not None and old.kind == kind and not outgrown:
            index = faiss.read_index(str(old.path))
            if len(dead):
                index.remove_ids(_selector(dead))
            for ids, vectors in waiting():
                index.add_with_ids(vectors, ids)
            facts = {"nprobe": old.nprobe}
        elif old is not None and old.kind == "ivf" and not outgrown:
            raise EcgclipError(f"{old.path}: compressed vectors cannot become exact again; build the index anew")
        else:

            def everything() -> Iterator[tuple[np.ndarray, np.ndarray]]:
                if old is not None:
                    yield from old.chunks(dead)
                yield from waiting()

            index = _empty_exact(dim) if kind == "exact" else _trained(everything, dim)
            for ids, vectors in everything():
                index.add_with_ids(vectors, ids)
            if kind == "ivf":
                facts = _measured(index, everything)
        # on the disk before the database forgets these vectors
        with replacing(path) as partial:
            faiss.write_index(index, str(partial))
        return facts | {"kind": kind, "vectors_sha256": file_sha256(path)}


def _ours(index: Any, dim: int) -> bool:
    """Whether what FAISS has read is of one of the two makes."""
    if not isinstance(index, faiss.IndexIDMap2 | faiss.IndexPreTransform) or index.d != dim:
        return False
    held = faiss.downcast_index(index.index)
    if held.metric_type != faiss.METRIC_INNER_PRODUCT:
        return False
    if isinstance(index, faiss.IndexIDMap2):
        return isinstance(held, faiss.IndexScalarQuantizer)
    return (
        isinstance(held, faiss.IndexIVFScalarQuantizer)
        and index.chain.size() == 1
        and index.chain.at(0).d_out == held.d
    )


def _list_count(count: int) -> int:
    """For so many vectors: 4 √n, as FAISS's guide has it, and no list of fewer than k-means asks for."""
    return max(1, min(round(4 * math.sqrt(count)), count // 39))


def _lists(index: Any) -> int:
    return faiss.downcast_index(index.index).nlist  # read at once: the object lives no longer than this line


def _looking_into(lists: int, select: Any = None) -> Any:
    return faiss.SearchParametersPreTransform(index_params=faiss.SearchParametersIVF(sel=select, nprobe=lists))


def _selector(ids: np.ndarray) -> Any:
    """A bit for each id up to the largest: half a million are selected in a millisecond, where a hash set takes sixty."""
    bits = np.zeros(ids.max(initial=-1) + 1, bool)
    bits[ids] = True
    return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))


def _empty_exact(dim: int) -> Any:
    half = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexIDMap2(half)


def _trained(chunks: Chunks, dim: int) -> Any:
    """An empty ivf index whose axes and lists (4 √n of them) are those of a sample of the vectors."""
    count = sum(len(ids) for ids, _ in chunks())
    lists = _list_count(count)
    rng = np.random.default_rng(0)
    part = min(1.0, max(TRAIN * lists, 20_000) / max(count, 1))
    sample = np.concatenate([v[rng.random(len(v)) < part] for _, v in chunks()])
    axes = _axes(sample)
    turn = faiss.LinearTransform(dim, len(axes), False)
    faiss.copy_array_to_vector(axes.ravel(), turn.A)
    turn.is_trained = True
    ivf = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(len(axes)), len(axes), lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    ivf.cp.niter, ivf.cp.max_points_per_centroid = 10, TRAIN
    ivf.cp.min_points_per_centroid = 1  # no warnings on stderr
    index = faiss.IndexPreTransform(turn, ivf)
    index.train(sample)
    return index


def _axes(sample: np.ndarray) -> np.ndarray:
    """Principal axes, uncentred as inner products are, (kept, dim) float32: a multiple of 16 that leaves out `LEFT_OUT`."""
    energy, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))  # ascending
    left = 1 - np.cumsum(energy[::-1]) / energy.sum()
    needed = 1 + int(np.argmax(left < LEFT_OUT))
    kept = min(16 * math.ceil(needed / 16), AXES, len(axes))
    return np.ascontiguousarray(axes[:, ::-1][:, :kept].T, np.float32)


def _measured(index: Any, chunks: Chunks) -> dict[str, Any]:
    """The least number of lists that gives `RECALL`@10 on a sample of the vectors themselves, and the recall that it gives."""
    rng = np.random.default_rng(1)
    picked = [
        (ids[keep], v[keep]) for ids, v in chunks() for keep in [rng.random(len(ids)) < 2 * SAMPLE / index.ntotal]
    ]
    own, queries = (np.concatenate(part) for part in zip(*picked, strict=True))
    order = rng.permutation(len(own))[:SAMPLE]
    own, queries = own[order], queries[order]
    best = [(np.full((len(own), 10), -2.0, np.float32), np.full((len(own), 10), -1))]
    for ids, vectors in chunks():
        cosine = queries @ vectors.T
        cosine[own[:, None] == ids] = -2  # a vector is no neighbour of itself
        columns = np.argpartition(-cosine, min(10, len(ids)) - 1, 1)[:, :10]
        best.append((np.take_along_axis(cosine, columns, 1), ids[columns]))
        scores, found = (np.concatenate(x, 1) for x in zip(*best, strict=True))
        order = np.argsort(-scores, 1)[:, :10]
        best = [(np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1))]
    truth, lists, nprobe, before = best[0][1], _lists(index), 4, 0.0
    while True:
        _, found = index.search(queries, 11, params=_looking_into(min(nprobe, lists)))
        others = (row[row != me][:10] for me, row in zip(own, found, strict=True))
        recall = float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(others, truth, strict=True)]))
        if recall >= RECALL or recall < before + GAIN or nprobe >= lists:
            return {"nprobe": min(nprobe, lists), "recall": round(recall, 4)}
        nprobe, before = 2 * nprobe, recall
