"""Vectors on disk: a FAISS file that is checked before it is read, searched by the inner product of unit vectors.

exact   vectors in half precision, all of them compared: up to some 100,000
ivf     their principal axes in half precision, in inverted lists, memory-mapped: beyond

Embeddings vary along few axes, which are found in a second. As the nearest of many vectors differ by thousandths only,
16 bits for each axis find more of them than 8 bits for each of twice as many axes. Product quantisation to as many
bytes (Jégou et al. 2011) needs minutes of k-means. Entry point: `VectorFile`.
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
MAX_ENERGY_LOST = 2e-4  # share of the energy (squared singular values) that the axes of an ivf leave out …
MAX_AXES = 72  # … unless more axes were needed than this; each costs two bytes a vector
RECALL_QUERIES = 300  # vectors by which recall is measured
MIN_RECALL = 0.97  # the number of lists that are searched is doubled until recall@10 is this …
MIN_GAIN = 0.001  # … or grows by less than this
MIN_SEARCHED = 4  # vectors that are compared, at least, for each that is to be found
MAX_GROWTH = 1.5  # an ivf that should have so many times its lists, as it has more than doubled, is trained again
TRAINING_VECTORS = 32  # that k-means looks at for each list
Chunk = tuple[np.ndarray, np.ndarray]  # ids int64 (n,), vectors float32 (n, dim)
Chunks = Callable[[], Iterator[Chunk]]


class VectorFile:
    """A FAISS file, open for searching.

    Parameters
    ----------
    path : Path
        The file.
    index : faiss.Index
        What FAISS read from it.
    nprobe : int
        Number of lists of an ivf that a search looks into.

    Attributes
    ----------
    kind : str
        One of KINDS.
    """

    def __init__(self, path: Path, index: Any, nprobe: int):
        self.path, self.index, self.nprobe = path, index, nprobe
        self.kind = "ivf" if hasattr(index, "chain") else "exact"

    def __len__(self) -> int:
        return self.index.ntotal

    @classmethod
    def open(cls, path: Path, sha256: str, nprobe: int, dim: int) -> VectorFile:
        """Map a file into memory. FAISS reads it only if it has the expected hash.

        Raises
        ------
        EcgclipError
            The file is missing, has been changed, or is not of one of the two kinds.
        """
        if not path.is_file():
            raise EcgclipError(f"{path}: missing; build the index again")
        if file_sha256(path) != sha256:
            raise EcgclipError(f"{path}: truncated or edited since it was written; build the index again")
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY)
        except RuntimeError:
            index = None
        if not _is_known_kind(index, dim) or nprobe < 1:
            raise EcgclipError(f"{path}: not a file of vectors as an index has them; build the index again")
        return cls(path, index, nprobe)

    def search(
        self, vector: np.ndarray, k: int, allowed: np.ndarray | None, dead: np.ndarray
    ) -> list[tuple[int, float]]:
        """Find the nearest vectors.

        Parameters
        ----------
        vector : float32 (dim,), of unit length
        k : int
            Number of vectors to find, at most.
        allowed : int64 (n,) or None
            The ids that may be found; None for all but the dead.
        dead : int64 (n,)
            Ids that are no longer in the index; ignored if `allowed` is given.

        Returns
        -------
        list of (int, float)
            Ids and cosines, best first.
        """
        share_allowed, select = 1.0, None
        if allowed is not None:
            share_allowed = min(1.0, max(len(allowed), 1) / max(len(self), 1))
            select = _selector(allowed)
        elif len(dead):
            select = faiss.IDSelectorNot(_selector(dead))
        if self.kind == "exact":
            parameters = faiss.SearchParameters(sel=select)
        else:  # the fewer may be found and the more are wanted, the more lists it takes to find them
            lists = _list_count(self.index)
            min_lists = MIN_SEARCHED * k * lists / max(len(self), 1)
            parameters = _ivf_parameters(min(lists, math.ceil(max(self.nprobe, min_lists) / share_allowed)), select)
        scores, ids = self.index.search(vector[None].astype(np.float32), k, params=parameters)
        return [(int(i), float(s)) for i, s in zip(ids[0], scores[0], strict=True) if i >= 0]

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """The vectors, float32 (n, dim), of some ids, as precisely as the file stores them."""
        if self.kind == "exact":
            return self.index.reconstruct_batch(ids)
        ivf = faiss.downcast_index(self.index.index)
        if ivf.direct_map.no():  # where each id lies: half a second for a million, on first use
            ivf.set_direct_map_type(faiss.DirectMap.Hashtable)
        return ivf.reconstruct_batch(ids) @ self._axes

    def chunks(self, dead: np.ndarray, size: int = 65_536) -> Iterator[Chunk]:
        """All vectors but the dead, as precisely as the file stores them."""
        for ids, vectors in self._exact_chunks(size) if self.kind == "exact" else self._ivf_chunks(size):
            keep = ~np.isin(ids, dead)
            if keep.any():
                yield ids[keep], vectors[keep]

    def _exact_chunks(self, size: int) -> Iterator[Chunk]:
        ids = faiss.vector_to_array(self.index.id_map)
        for start in range(0, len(ids), size):
            yield ids[start : start + size], self.index.index.reconstruct_n(start, min(size, len(ids) - start))

    def _ivf_chunks(self, size: int) -> Iterator[Chunk]:
        """Several lists at a time, with at least `size` vectors."""
        ivf = faiss.downcast_index(self.index.index)
        lists = faiss.downcast_index(self.index.index).invlists
        ids: list[np.ndarray] = []
        coordinates: list[np.ndarray] = []
        waiting = 0
        for number, centre in enumerate(ivf.quantizer.reconstruct_n(0, ivf.nlist)):
            if count := lists.list_size(number):
                ids.append(faiss.rev_swig_ptr(lists.get_ids(number), count).copy())
                codes = faiss.rev_swig_ptr(lists.get_codes(number), count * ivf.code_size)
                # QT_fp16 stores the difference from the centre of the list
                coordinates.append(codes.view("<f2").reshape(count, ivf.d) + centre)
                waiting += count
            if waiting and (waiting >= size or number == ivf.nlist - 1):
                yield np.concatenate(ids), np.concatenate(coordinates) @ self._axes
                ids, coordinates, waiting = [], [], 0

    @property
    def _axes(self) -> np.ndarray:
        """The axes of an ivf, float32 (axes, dim)."""
        transform = faiss.downcast_VectorTransform(self.index.chain.at(0))
        return faiss.vector_to_array(transform.A).reshape(transform.d_out, transform.d_in)

    @classmethod
    def write(
        cls, path: Path, kind: str, old: VectorFile | None, dead: np.ndarray, pending: Chunks, dim: int
    ) -> dict[str, Any]:
        """Write a file with the vectors of an older one, without the dead, and with the pending ones.

        An ivf is trained when it is made of exact vectors, and again when it has outgrown its lists; else it keeps its
        lists, and the recall that was measured when they were trained.

        Parameters
        ----------
        path : Path
            The new file.
        kind : str
            The kind of the new file, one of KINDS.
        old : VectorFile or None
            The older file, if there is one.
        dead : int64 (n,)
            Ids in the older file that are left out.
        pending : Chunks
            Gives the chunks of the vectors to add; called more than once.
        dim : int
            Length of a vector.

        Returns
        -------
        dict
            kind, vectors_sha256, nprobe and, where it was measured, recall (at 10).

        Raises
        ------
        EcgclipError
            An ivf should become exact, but no longer has its vectors in full.
        """
        outgrown = False
        if old is not None and old.kind == kind == "ivf":
            count = len(old) - len(dead) + sum(len(ids) for ids, _ in pending())
            outgrown = _suitable_lists(count) > MAX_GROWTH * _list_count(old.index)
        if old is not None and old.kind == kind and not outgrown:
            index, properties = _grown(old, dead, pending), {"nprobe": old.nprobe}
        elif old is not None and old.kind == "ivf" and not outgrown:
            raise EcgclipError(f"{old.path}: compressed vectors cannot become exact again; build the index anew")
        else:

            def chunks() -> Iterator[Chunk]:
                if old is not None:
                    yield from old.chunks(dead)
                yield from pending()

            index, properties = _made(kind, chunks, dim)
        # the file is on the disk before the database forgets the pending vectors
        with replacing(path) as partial:
            faiss.write_index(index, str(partial))
        return properties | {"kind": kind, "vectors_sha256": file_sha256(path)}


def _is_known_kind(index: Any, dim: int) -> bool:
    """Whether what FAISS has read is of one of the two kinds, for vectors of this length."""
    if not isinstance(index, faiss.IndexIDMap2 | faiss.IndexPreTransform) or index.d != dim:
        return False
    inner = faiss.downcast_index(index.index)
    if inner.metric_type != faiss.METRIC_INNER_PRODUCT:
        return False
    if isinstance(index, faiss.IndexIDMap2):
        return isinstance(inner, faiss.IndexScalarQuantizer)
    return (
        isinstance(inner, faiss.IndexIVFScalarQuantizer)
        and index.chain.size() == 1
        and index.chain.at(0).d_out == inner.d
    )


def _list_count(index: Any) -> int:
    return faiss.downcast_index(index.index).nlist  # read at once, as the object lives no longer than this line


def _ivf_parameters(nprobe: int, select: Any = None) -> Any:
    return faiss.SearchParametersPreTransform(index_params=faiss.SearchParametersIVF(sel=select, nprobe=nprobe))


def _selector(ids: np.ndarray) -> Any:
    """Select ids by one bit for each id up to the largest: a millisecond for half a million; a hash set takes sixty."""
    bits = np.zeros(ids.max(initial=-1) + 1, bool)
    bits[ids] = True
    return faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))


# --- making an index of FAISS -----------------------------------------------------------------------------------------


def _grown(old: VectorFile, dead: np.ndarray, pending: Chunks) -> Any:
    """A copy of an older index without the dead vectors and with the pending ones."""
    index = faiss.read_index(str(old.path))
    if len(dead):
        index.remove_ids(_selector(dead))
    for ids, vectors in pending():
        index.add_with_ids(vectors, ids)
    return index


def _made(kind: str, chunks: Chunks, dim: int) -> tuple[Any, dict[str, Any]]:
    """A new index of some vectors, with its nprobe and recall."""
    index = _empty_exact(dim) if kind == "exact" else _trained_ivf(chunks, dim)
    for ids, vectors in chunks():
        index.add_with_ids(vectors, ids)
    return index, _choose_nprobe(index, chunks) if kind == "ivf" else {"nprobe": 1, "recall": 1.0}


def _empty_exact(dim: int) -> Any:
    half = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexIDMap2(half)


def _trained_ivf(chunks: Chunks, dim: int) -> Any:
    """An empty ivf; its axes and lists are those of a sample of the vectors."""
    count = sum(len(ids) for ids, _ in chunks())
    lists = _suitable_lists(count)
    rng = np.random.default_rng(0)
    share = min(1.0, max(TRAINING_VECTORS * lists, 20_000) / max(count, 1))
    sample = np.concatenate([vectors[rng.random(len(vectors)) < share] for _, vectors in chunks()])
    axes = _principal_axes(sample)
    transform = faiss.LinearTransform(dim, len(axes), False)
    faiss.copy_array_to_vector(axes.ravel(), transform.A)
    transform.is_trained = True
    ivf = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(len(axes)), len(axes), lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    ivf.cp.niter, ivf.cp.max_points_per_centroid = 10, TRAINING_VECTORS
    ivf.cp.min_points_per_centroid = 1  # no warnings on stderr
    index = faiss.IndexPreTransform(transform, ivf)
    index.train(sample)
    return index


def _suitable_lists(count: int) -> int:
    """How many lists an ivf of so many vectors should have.

    4 √n, as the guide of FAISS recommends, but no list of fewer vectors than k-means asks for.
    """
    return max(1, min(round(4 * math.sqrt(count)), count // 39))


def _principal_axes(sample: np.ndarray) -> np.ndarray:
    """Principal axes, float32 (axes, dim), not centred, as inner products are not; their number is a multiple of 16."""
    energy, axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))  # ascending
    lost = 1 - np.cumsum(energy[::-1]) / energy.sum()
    needed = 1 + int(np.argmax(lost < MAX_ENERGY_LOST))
    count = min(16 * math.ceil(needed / 16), MAX_AXES, len(axes))
    return np.ascontiguousarray(axes[:, ::-1][:, :count].T, np.float32)


# --- recall -----------------------------------------------------------------------------------------------------------


def _choose_nprobe(index: Any, chunks: Chunks) -> dict[str, Any]:
    """How many lists (nprobe) an ivf must look into for MIN_RECALL, and the recall@10 that this gives.

    Measured with a sample of its own vectors.
    """
    ids, queries = _sample(chunks, index.ntotal)
    truth = _true_neighbours(ids, queries, chunks)
    lists, nprobe, before = _list_count(index), 4, 0.0
    while True:
        _, found = index.search(queries, 11, params=_ivf_parameters(min(nprobe, lists)))
        neighbours = (row[row != own_id][:10] for own_id, row in zip(ids, found, strict=True))
        recall = float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(neighbours, truth, strict=True)]))
        if recall >= MIN_RECALL or recall < before + MIN_GAIN or nprobe >= lists:
            return {"nprobe": min(nprobe, lists), "recall": round(recall, 4)}
        nprobe, before = 2 * nprobe, recall


def _sample(chunks: Chunks, count: int) -> Chunk:
    """RECALL_QUERIES of `count` vectors, at random."""
    rng = np.random.default_rng(1)
    picked = []
    for ids, vectors in chunks():
        keep = rng.random(len(ids)) < 2 * RECALL_QUERIES / count
        picked.append((ids[keep], vectors[keep]))
    ids, vectors = (np.concatenate(part) for part in zip(*picked, strict=True))
    order = rng.permutation(len(ids))[:RECALL_QUERIES]
    return ids[order], vectors[order]


def _true_neighbours(own_ids: np.ndarray, queries: np.ndarray, chunks: Chunks) -> np.ndarray:
    """The ids int (n, 10) of the vectors nearest to each query, other than itself, from comparing with all."""
    best_scores = np.full((len(queries), 10), -2.0, np.float32)
    best_ids = np.full((len(queries), 10), -1)
    for ids, vectors in chunks():
        cosine = queries @ vectors.T
        cosine[own_ids[:, None] == ids] = -2
        columns = np.argpartition(-cosine, min(10, len(ids)) - 1, 1)[:, :10]
        scores = np.concatenate([best_scores, np.take_along_axis(cosine, columns, 1)], 1)
        candidates = np.concatenate([best_ids, ids[columns]], 1)
        order = np.argsort(-scores, 1)[:, :10]
        best_scores, best_ids = np.take_along_axis(scores, order, 1), np.take_along_axis(candidates, order, 1)
    return best_ids
