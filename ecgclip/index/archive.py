"""An archive of ECGs to search by words, by another ECG, or by both: one folder, facts in SQLite, vectors in FAISS.

    records ──embed──▶ index.sqlite: facts and new vectors, a transaction a batch ──fold──▶ vectors-N.faiss
    text, ECG ──▶ one query vector ──▶ the nearest windows among those that pass the filter ──▶ hits

Entry point: `ECGIndex`. Its parts: `store` (files), `records` (rows), `search`, `fold`, and `engines` (embedding).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgclip.data.metadata import Metadata, load_metadata
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.index.fold import fold, is_due, next_kind
from ecgclip.index.hits import Hit
from ecgclip.index.reading import reading_of
from ecgclip.index.records import RecordTable
from ecgclip.index.search import make_query, search
from ecgclip.index.store import Store
from ecgclip.index.vectors import KINDS
from ecgclip.io.read import STANDARD_INPUT, read_ecg
from ecgclip.io.records import survey

if TYPE_CHECKING:
    from ecgclip.index.embedding import Row
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.results import Embedding, Record


@dataclass(frozen=True)
class Change:
    """What a build or a removal did: numbers of records."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    moved: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # files that are no ECG, by what they are


class ECGIndex:
    """An index on disk: `open` or `build` one, `search` it, `add` records to it or `remove` them.

    Parameters
    ----------
    folder : str or Path
        Where the index is.
    model : str or Path or ECGCLIP or None
        The model that the index was made with, or its name as for `load_model`; None for the shipped one.

    Attributes
    ----------
    last : Change
        What the last change did.
    """

    def __init__(self, folder: str | Path, model: str | Path | ECGCLIP | None = None):
        self.folder, self._model = Path(folder), model
        self.last = Change()
        self.store = Store(self.folder)
        self._records = RecordTable(self.store)

    @classmethod
    def open(cls, folder: str | Path, model: str | Path | ECGCLIP | None = None) -> ECGIndex:
        """Open an index and check its files.

        Raises
        ------
        EcgclipError
            A file is missing, truncated, edited or foreign.
        """
        index = cls(folder, model)
        if not index.store.database.is_file():
            raise EcgclipError(f"{folder}: no index here; make one with `ecgclip index build RECORDS -o {folder}`")
        with index.store.errors_in_one_line():
            index.store.check()
        if not isinstance(model, str | Path | None):  # it is loaded, so that the check costs nothing
            index._check_weights()
        return index

    @classmethod
    def build(
        cls,
        paths: Sequence[str | os.PathLike],
        folder: str | Path,
        *,
        model: str | Path | ECGCLIP | None = None,
        **options: Any,
    ) -> ECGIndex:
        """Make an index in `folder`, or go on with the one that is there; the options are those of `add`."""
        _check_paths(paths)
        index = cls(folder, model)
        if not index.store.database.exists():
            model = index.model
            index.store.create(model.weights_sha256, model.config.ecg.dim)
        index = cls.open(folder, model)
        index.add(paths, **options)
        return index

    @cached_property
    def model(self) -> ECGCLIP:
        """The model that embeds; loaded on first use."""
        from ecgclip.model.clip import ECGCLIP
        from ecgclip.model.store import load_model

        model = self._model if isinstance(self._model, ECGCLIP) else load_model(self._model)
        if model.folder is None:
            raise EcgclipError("an index names its weights by their file: save the model, then load_model(folder)")
        return model

    @property
    def meta(self) -> dict[str, str]:
        """What the index stores about itself, such as weights_sha256 and dim."""
        return self.store.meta

    def _check_weights(self) -> None:
        stored, weights = self.meta.get("weights_sha256"), self.model.weights_sha256
        if stored != weights:
            raise EcgclipError(
                f"{self.folder}: made by other weights ({str(stored)[:12]}…, these are {weights[:12]}…): "
                "give --model the weights it was made with, or build it again"
            )

    def add(
        self,
        paths: Sequence[str | os.PathLike],
        *,
        workers: int | None = None,
        engine: str = "local",
        kind: str = "auto",
        facts: str | Path | None = None,
        reading: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Change:
        """Embed the records that are new or have changed.

        A record whose files have moved keeps its vectors and facts, under its new path; a copy is a record of its own.
        What a file of several ECGs holds no more is forgotten.
        Records that cannot be read are listed in unreadable.csv.

        Parameters
        ----------
        paths : sequence of str or os.PathLike
            Files, WFDB headers, folders or globs. Files in folders that are no ECG are counted in `last.skipped`.
        workers : int or None
            Number of processes; None for one on each core.
        engine : str
            "local", or "ray" for the machines of a Ray cluster.
        kind : str
            Kind of the FAISS file: "exact", "ivf", or "auto", which is by the number of windows.
        facts : str or Path or None
            A CSV file with a column `record` (paths relative to the file) and any of report, labels (separated by ";"),
            age, sex; its other columns can be filtered by.
        reading : mapping or None
            Keyword arguments of `read_ecg`, such as {"sampling_rate": 500}, for files that leave it unsaid. They are
            stored with each record; one that was read with others is embedded again.
        progress : callable or None
            Called with the number of records that are done, and of all.

        Raises
        ------
        EcgclipError
            A path names no record or is standard input, or the index was made by other weights.
        """
        from ecgclip.index.engines import embed_records

        _check_paths(paths)
        if kind not in ("auto", *KINDS):
            raise EcgclipError(f"unknown kind {kind!r} of index: auto, {', '.join(KINDS)}")
        self._check_weights()
        found = [survey(path) for path in paths]
        records = {os.path.abspath(record): record for each in found for record in each.records}
        table_facts = load_metadata(paths, facts, self.model.kb, records)
        with self.store.errors_in_one_line(), self.store.writing():
            next_kind(self.store, kind)  # raises now, rather than after hours, if that kind is not possible
            removed = self._records.remove(self._records.no_longer_held(records))
            jobs, unchanged, unnameable = self._records.compare(records, reading or {})
            self._records.update(unchanged, unnameable, table_facts)
            jobs, moved = self._records.move(jobs, reading or {}, table_facts)
            counts: Counter[str] = Counter(
                unchanged=len(unchanged), failed=len(unnameable), moved=moved, removed=removed
            )
            done = len(records) - len(jobs)
            report = progress or (lambda done, total: None)
            report(done, len(records))
            batches = embed_records(jobs, self.model, workers, engine, self.folder, reading)
            for outcomes in self._put_all(batches, table_facts, kind):
                counts.update(outcomes)
                done += len(outcomes)
                report(done, len(records))
            self._records.write_failures()
            fold(self.store, kind)
        self.last = Change(**counts, skipped=sum((each.skipped for each in found), Counter()))
        return self.last

    def _put_all(self, batches: Iterable[list[Row]], facts: Mapping[str, Metadata], kind: str) -> Iterator[list[str]]:
        """Store batches of embedded records, and fold when many vectors are pending; see `RecordTable.put`."""
        pending = self.store.count("pending")
        for rows in batches:
            yield self._records.put(rows, facts)
            pending += sum(len(row.start_s) for row in rows)
            if is_due(pending):
                fold(self.store, kind, under_way=True)
                pending = 0

    def remove(self, paths: Sequence[str | os.PathLike] = (), *, missing: bool = False, yes: bool = False) -> Change:
        """Forget records; their files are left alone.

        Parameters
        ----------
        paths : sequence of str or os.PathLike
            Records or folders, as they were given when they were added or not, whether they still exist or not.
        missing : bool
            Forget the records whose files are gone.
        yes : bool
            Forget them even if more than a tenth of all are missing.

        Raises
        ------
        EcgclipError
            A path names nothing in the index, or more than a tenth are missing without `yes`; nothing is removed then.
        """
        with self.store.errors_in_one_line(), self.store.writing():
            files: set[str] = set().union(*(self._records.below(path) for path in paths))
            if missing:
                files |= self._records.missing(allow_many=yes)
            removed = self._records.remove(files)
            self._records.write_failures()
            fold(self.store)
        self.last = Change(removed=removed)
        return self.last

    def search(
        self,
        text: str | None = None,
        *,
        like: Record | Embedding | None = None,
        without: str | None = None,
        k: int = 10,
        where: str | None = None,
    ) -> list[Hit]:
        """Find the records nearest to words, to an ECG, or to both, each by its best window.

        Parameters
        ----------
        text : str or None
            Conditions, read as labels are: several ("inferior infarct with AV block") count alike, and of alternatives
            the nearest counts. What the text denies is left out, as by `without`.
        like : Record or Embedding or None
            A record, which is not found itself; without `text`, the nearest are ranked by `ECGCLIP.likeness`.
        without : str or None
            Words for what is left out: records of which any window is likely to have it (`ECGCLIP.likely`).
        k : int
            Number of records to find.
        where : str or None
            An SQL condition on record, start_s, seconds, leads, age, sex ('F' or 'M'), report, labels, quality and the
            columns of the facts table; only windows that meet it are ranked.

        Returns
        -------
        list of Hit
            Best first.

        Raises
        ------
        EcgclipError
            There is no query, the condition is not valid, or the index was made by other weights.
        """
        if k < 1:
            raise EcgclipError(f"k must be at least 1, not {k}")
        if not (text or like):
            raise EcgclipError("nothing to search for: give words, a record to be like, or both")
        self._check_weights()
        return search(self.store, self.model, make_query(self.model, text, like, without), k, where)

    def read(self, hit: Hit) -> ECG:
        """The recording of a hit, read with the options that it was embedded with. Raises EcgclipError as read_ecg."""
        found = self.file_of(hit.id)
        return read_ecg(hit.file, **(found[1] if found else {}))

    def file_of(self, record: int) -> tuple[str, dict[str, Any]] | None:
        """The path of a record, by the id that hits have, and the options of `read_ecg` that it was embedded with.

        None if the index has no such record.
        """
        with self.store.errors_in_one_line():
            rows = self.store.query("SELECT file, sha256 FROM records WHERE id = ?", (record,))
            return (rows[0][0], reading_of(rows[0][1])) if rows else None

    def info(self) -> dict[str, Any]:
        """Kind, numbers of records, windows, pending vectors ("waiting") and failures, sizes in bytes, recall@10."""
        store = self.store
        with store.errors_in_one_line(), store.snapshot():
            meta, vectors = store.meta, store.vectors
            vector_bytes = vectors.path.stat().st_size if vectors else 0
            return {
                "kind": vectors.kind if vectors else "exact",
                "records": store.count("records"),
                "windows": store.count("windows"),
                "waiting": store.count("pending"),
                "unreadable": store.count("failures"),
                "vector_bytes": vector_bytes,
                "bytes_a_vector": round(vector_bytes / len(vectors), 1) if vectors else None,
                "facts_bytes": store.database.stat().st_size,
                "recall_at_10": float(meta["recall"]) if "recall" in meta else 1.0,
                "weights_sha256": meta["weights_sha256"],
            }


def _check_paths(paths: Sequence[str | os.PathLike]) -> None:
    if any(os.fspath(path) == STANDARD_INPUT for path in paths):
        raise EcgclipError("an index is made of files, which can be read again: give a path instead of -")
