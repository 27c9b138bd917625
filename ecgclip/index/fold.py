"""Folding: the pending vectors of an index go from its database into a new FAISS file."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.index.store import Store
from ecgclip.index.vectors import VectorFile

FOLD_AT = 100_000  # pending vectors are folded when there are so many, and at the end; also the most for kind "exact"


def next_kind(store: Store, asked: str, under_way: bool = False) -> str:
    """The kind of the next FAISS file.

    While a build is under way vectors stay exact, up to a million, so that the compression is trained on all of them.

    Parameters
    ----------
    store : Store
        The index.
    asked : str
        "exact" or "ivf", which holds until the other is asked for; or "auto", by the number of windows.
    under_way : bool
        More windows will follow.

    Raises
    ------
    EcgclipError
        Compressed vectors are asked to become exact again.
    """
    old = store.vectors.kind if store.vectors else None
    if asked == "exact" and old == "ivf":
        raise EcgclipError(f"{store.folder}: compressed vectors cannot become exact again; build the index anew")
    windows = store.count("windows")
    if old == "ivf":
        return "ivf"
    if windows <= (10 * FOLD_AT if under_way else 0):
        return "exact"
    by_count = "exact" if windows <= FOLD_AT else "ivf"
    return store.meta.get("asked", by_count) if asked == "auto" else asked


def is_due(pending: int) -> bool:
    """Whether so many vectors are to be folded, though more will follow."""
    return pending >= FOLD_AT


def fold(store: Store, asked: str = "auto", under_way: bool = False) -> None:
    """Write a new FAISS file, if vectors are pending or dead or the kind changes, and delete the files before it.

    The parameters are those of `next_kind`.
    """
    kind, meta = next_kind(store, asked, under_way), store.meta
    as_asked = meta.get("kind") == kind and asked in ("auto", meta.get("asked"))
    if store.count("pending") or store.count("dead") or (store.count("windows") and not as_asked):
        _write_vectors(store, kind, {"asked": asked} if asked != "auto" else {})
    current = store.meta.get("vectors")
    for file in store.folder.glob("vectors-*"):
        if file.name != current:  # an older file, or of a fold that was interrupted
            with suppress(OSError):  # Windows keeps what a reader has open; the next fold tries again
                file.unlink()


def _write_vectors(store: Store, kind: str, choice: dict[str, Any]) -> None:
    """Write a new FAISS file; then, in one transaction, make the database name it and empty `pending` and `dead`."""
    meta = store.meta
    generation = int(meta["generation"]) + 1
    name = f"vectors-{generation}.faiss"
    written = VectorFile.write(store.folder / name, kind, store.vectors, store.dead(), store.pending, int(meta["dim"]))
    changes = choice | written | {"vectors": name, "generation": generation}
    with store.transaction() as db:
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, str(v)) for key, v in changes.items()])
        db.execute("DELETE FROM pending")
        db.execute("DELETE FROM dead")
    store.query("PRAGMA incremental_vacuum")
    store.open_vectors()
