"""The records of an index: which of an archive are new, changed or moved, and their rows in the database."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgclip.data.metadata import Metadata
from ecgclip.ecg import EcgclipError
from ecgclip.files import write_atomic
from ecgclip.index.reading import with_reading
from ecgclip.index.store import Store
from ecgclip.io.read import split_index
from ecgclip.io.records import ecgs_held, record_exists, record_hash, record_stamp

if TYPE_CHECKING:
    from ecgclip.index.embedding import Job, Row

RECORD_COLUMNS = "file, record, size, mtime_ns, sha256, leads, seconds, age, sex, report, labels, quality, other"
INSERT = f"INSERT INTO records ({RECORD_COLUMNS}) VALUES ({', '.join('?' * len(RECORD_COLUMNS.split()))})"
FAILURES = "unreadable.csv"


class RecordTable:
    """The records of an index. A record is known by its absolute path without .hea, here called its file."""

    def __init__(self, store: Store):
        self.store = store

    # --- what there is to do ------------------------------------------------------------------------------------------

    def compare(
        self, records: Mapping[str, str], reading: Mapping[str, Any]
    ) -> tuple[list[Job], list[str], list[tuple[str, str, str]]]:
        """Compare the records of an archive with those of the index.

        Parameters
        ----------
        records : mapping of str to str
            Files, with the paths as given.
        reading : mapping
            Keyword arguments of `read_ecg`; with others than before, a record is another one.

        Returns
        -------
        jobs : list of Job
            The records that are new or may have changed.
        unchanged : list of str
            The files that have not changed.
        unnameable : list of (str, str, str)
            Rows of `failures` for paths that no database can hold.
        """
        jobs: list[Job] = []
        unchanged: list[str] = []
        unnameable: list[tuple[str, str, str]] = []
        for file, record in records.items():
            if (name := _printable(file)) != file:
                unnameable.append((name, _printable(record), f"{name}: its name is not UTF-8; rename it"))
                continue
            rows = self.store.query("SELECT size, mtime_ns, sha256 FROM records WHERE file = ?", (file,))
            *stamp, sha256 = rows[0] if rows else ("",)
            if rows and tuple(stamp) == record_stamp(file) and with_reading(sha256, reading) == sha256:
                unchanged.append(file)
            else:
                jobs.append((file, record, sha256))
        return jobs, unchanged, unnameable

    def update(
        self, unchanged: Sequence[str], failures: Sequence[tuple[str, str, str]], facts: Mapping[str, Metadata]
    ) -> None:
        """Store what needs no embedding: the facts of unchanged records, the columns of all facts, and failures."""
        gone = self._failures_without_file()
        columns = {*self.store.extra_columns, *(column for row in facts.values() for column in row.other)}
        with self.store.transaction() as db:
            db.executemany("DELETE FROM failures WHERE file = ?", [(file,) for file in gone])
            db.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", failures)
            self._set_all_facts(db, unchanged, facts)
            stored = json.dumps(sorted(columns), ensure_ascii=False)
            db.execute("INSERT OR REPLACE INTO meta VALUES ('columns', ?)", (stored,))

    def no_longer_held(self, records: Mapping[str, str]) -> set[str]:
        """The records of files of several ECGs that are not in these any more, where the files are among `records`."""
        numbered = self.store.query("SELECT file FROM records WHERE file GLOB '*#[0-9]*'")
        wholes = {path for path, index in map(split_index, records) if index is not None}
        if not (numbered or wholes):
            return set()
        paths = {split_index(file)[0] for file in records}
        old = {path: {path} for path in wholes}  # the file may have held one ECG only
        for (file,) in numbered:
            if (path := split_index(file)[0]) in paths:
                old.setdefault(path, set()).add(file)
        return {file for path, files in old.items() for file in files - _names_now(path, files) if file not in records}

    def move(
        self, jobs: Sequence[Job], reading: Mapping[str, Any], facts: Mapping[str, Metadata]
    ) -> tuple[list[Job], int]:
        """Give records that have moved their new paths. Returns the jobs that remain, and how many records have moved.

        A new record has moved if it has the contents of an indexed one whose file is gone.
        """
        if not self.store.query("SELECT 1 FROM records LIMIT 1"):
            return list(jobs), 0
        new = [file for file, _, sha256 in jobs if not sha256]
        stamps = {file: stamp for file in new if (stamp := record_stamp(file))}
        gone: dict[tuple[int, str], list[str]] = {}
        for file, size, sha256 in self._without_file({size for size, _ in stamps.values()}):
            gone.setdefault((size, sha256), []).append(file)
        sizes = {size for size, _ in gone}
        remaining: list[Job] = []
        moved: list[tuple[str, str, int, int, str]] = []
        for job in jobs:
            file, record, _ = job
            size, mtime_ns = stamps.get(file, (-1, 0))
            if size in sizes and (old := _take_same(file, size, reading, gone)):  # of another size it need not be read
                moved.append((file, record, size, mtime_ns, old))
            else:
                remaining.append(job)
        with self.store.transaction() as db:
            change = "UPDATE records SET file = ?, record = ?, size = ?, mtime_ns = ? WHERE file = ?"
            db.executemany(change, moved)
            db.executemany("DELETE FROM failures WHERE file = ?", [(file,) for file, *_ in moved])
            self._set_all_facts(db, (file for file, *_ in moved), facts)
        return remaining, len(moved)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def put(self, rows: Sequence[Row], facts: Mapping[str, Metadata]) -> list[str]:
        """Store what embedding records gave. Returns "added", "changed", "unchanged" or "failed" for each."""
        with self.store.transaction() as db:
            return [self._put(db, row, facts) for row in rows]

    def _put(self, db: sqlite3.Connection, row: Row, facts: Mapping[str, Metadata]) -> str:
        if row.error:
            if _is_readable(row.file):  # of a record that is out of reach, the index keeps what it has
                self._delete(db, [row.file])
            db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (row.file, row.record, row.error))
            return "failed"
        db.execute("DELETE FROM failures WHERE file = ?", (row.file,))
        if row.vectors is None:  # its files were touched, but hold the same bytes
            db.execute("UPDATE records SET size = ?, mtime_ns = ? WHERE file = ?", (row.size, row.mtime_ns, row.file))
            outcome = "unchanged"
        else:
            outcome = self._replace(db, row, row.vectors)
        self._set_all_facts(db, [row.file], facts)
        return outcome

    def _replace(self, db: sqlite3.Connection, row: Row, vectors: np.ndarray) -> str:
        """Insert a record with its windows in place of an older row, whose facts from a table are kept."""
        old = db.execute("SELECT report, labels, other FROM records WHERE file = ?", (row.file,)).fetchone()
        report, old_labels, other = old or ("", "[]", "{}")
        outcome = "changed" if self._delete(db, [row.file]) else "added"
        labels = json.dumps(row.labels, ensure_ascii=False) if row.labels else old_labels
        values = (
            *(row.file, row.record, row.size, row.mtime_ns, row.sha256, row.leads, row.seconds),
            *(row.age, row.sex, report, labels, row.quality, other),
        )
        record_id = db.execute(INSERT, values).lastrowid
        for start, vector in zip(row.start_s, vectors, strict=True):
            window = db.execute("INSERT INTO windows (record_id, start_s) VALUES (?, ?)", (record_id, start)).lastrowid
            db.execute("INSERT INTO pending VALUES (?, ?)", (window, vector.astype("<f2").tobytes()))
        return outcome

    @staticmethod
    def _set_all_facts(db: sqlite3.Connection, files: Iterable[str], facts: Mapping[str, Metadata]) -> None:
        """Overrule what headers say by what tables say, cell by cell; a row is written only if that changes it."""
        names = "(age, sex, report, labels, other)"
        new = "(coalesce(?1, age), coalesce(?2, sex), coalesce(?3, report), coalesce(?4, labels), ?5)"
        for row in (facts[file] for file in files if file in facts):
            labels = json.dumps(row.labels, ensure_ascii=False) if row.labels is not None else None
            other = json.dumps(row.other, ensure_ascii=False)
            db.execute(
                f"UPDATE records SET {names} = {new} WHERE file = ?6 AND {names} IS NOT {new}",
                (row.age, row.sex, row.report, labels, other, row.file),
            )

    # --- removing -----------------------------------------------------------------------------------------------------

    def below(self, path: str | os.PathLike) -> set[str]:
        """The files of records and of failures at a path or below it, whether it still exists or not.

        Raises
        ------
        EcgclipError
            There are none.
        """
        stem = os.path.abspath(os.fspath(path).removesuffix(".hea")).rstrip(os.sep)
        # paths in a folder sort between "folder/" and the character that follows the slash, numbers after "file#" alike
        bounds = (stem, *(bound for mark in (os.sep, "#") for bound in (stem + mark, stem + chr(ord(mark) + 1))))
        where = "WHERE file = ? OR file > ? AND file < ? OR file > ? AND file < ?"
        rows = self.store.query(f"SELECT file FROM records {where} UNION SELECT file FROM failures {where}", 2 * bounds)
        found = {file for (file,) in rows if not file.startswith(stem + "#") or split_index(file)[0] == stem}
        if not found:
            raise EcgclipError(f"{path}: nothing of it is in the index {self.store.folder}")
        return found

    def missing(self, allow_many: bool = False) -> set[str]:
        """The files of records and of failures that are gone.

        Raises
        ------
        EcgclipError
            More than a tenth of the records are missing, unless `allow_many`.
        """
        gone = [file for file, *_ in self._without_file()]
        total = self.store.count("records")
        if len(gone) > total / 10 and not allow_many:
            raise EcgclipError(
                f"{self.store.folder}: the files of {len(gone):,} of {total:,} records are missing, such as {gone[0]}; "
                "is a disk or a share not there? If they are to be forgotten, say so: --yes (in Python yes=True)"
            )
        return {*gone, *self._failures_without_file()}

    def remove(self, files: Collection[str]) -> int:
        """Forget records and failures. Returns the number of records."""
        with self.store.transaction() as db:
            removed = self._delete(db, sorted(files))
            db.executemany("DELETE FROM failures WHERE file = ?", [(file,) for file in files])
        return removed

    @staticmethod
    def _delete(db: sqlite3.Connection, files: Iterable[str]) -> int:
        """Delete the rows of records; their windows in the FAISS file are dead until the next fold."""
        deleted = 0
        for file in files:
            record_id = db.execute("SELECT id FROM records WHERE file = ?", (file,)).fetchone()
            if record_id:
                windows = "SELECT id FROM windows WHERE record_id = ?"
                db.execute(f"INSERT INTO dead {windows} AND id NOT IN (SELECT id FROM pending)", record_id)
                db.execute(f"DELETE FROM pending WHERE id IN ({windows})", record_id)
                db.execute("DELETE FROM windows WHERE record_id = ?", record_id)
                db.execute("DELETE FROM records WHERE id = ?", record_id)
                deleted += 1
        return deleted

    def _without_file(self, sizes: Collection[int] | None = None) -> list[tuple[str, int, str]]:
        """(file, size, hash) of the records that are gone; only those of some sizes, if they are given."""
        gone: list[tuple[str, int, str]] = []
        if sizes is not None and not sizes:
            return gone
        folder = ""
        names: set[str] = set()
        with self.store.cursor("SELECT file, size, sha256 FROM records ORDER BY file") as rows:
            for file, size, sha256 in rows:
                if sizes is not None and size not in sizes:
                    continue
                if os.path.dirname(file) != folder:  # listing a folder is quicker than asking for each file
                    folder, names = os.path.dirname(file), set()
                    with suppress(OSError):
                        names = set(os.listdir(folder))
                if os.path.basename(file) + ".hea" not in names and not record_exists(file):
                    gone.append((file, size, sha256))
        return gone

    # --- failures -----------------------------------------------------------------------------------------------------

    def _failures_without_file(self) -> list[str]:
        failures = self.store.query("SELECT file FROM failures")
        return [file for (file,) in failures if not record_exists(file)]

    def write_failures(self) -> None:
        """List the records that could not be read in unreadable.csv; without any, delete it."""
        rows = self.store.query("SELECT record, reason FROM failures ORDER BY record")
        path = self.store.folder / FAILURES
        if not rows:
            path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerows([("record", "reason"), *rows])
        write_atomic(path, text.getvalue())


def _take_same(file: str, size: int, reading: Mapping[str, Any], gone: dict[tuple[int, str], list[str]]) -> str | None:
    """Of the records that are gone, take one with the contents of this file, if there is one.

    Of several, the one of the same name is taken.
    """
    try:
        same = gone.get((size, with_reading(record_hash(file), reading)), [])
    except EcgclipError:  # what cannot be read is reported when it is embedded
        return None
    same.sort(key=lambda path: (os.path.basename(path) == os.path.basename(file), path))
    return same.pop() if same else None


def _names_now(path: str, files: set[str]) -> set[str]:
    """The records in a file, "b.npy" or "b.npy#0", "b.npy#1" …; `files` where that cannot be told."""
    held = ecgs_held(path)
    return files if held is None else {path} if held == 1 else {f"{path}#{i}" for i in range(held)}


def _is_readable(file: str) -> bool:
    """Whether the header or the file of a record can be opened."""
    return os.access(file + ".hea", os.R_OK) or os.access(split_index(file)[0], os.R_OK)


def _printable(path: str) -> str:
    """A path as text that a database can hold: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
