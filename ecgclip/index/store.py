"""The files of an index: facts and new vectors in SQLite, older vectors in a FAISS file.

Every change is one SQLite transaction, so that an interruption costs the change under way and nothing else. One program
writes at a time; any number read meanwhile, each in one committed state. Entry point: `Store`.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.files import file_sha256, replacing, write_atomic
from ecgclip.index.vectors import VectorFile

APPLICATION_ID = 0x45434758  # "ECGX" in the header of the database: it is an index of ecgclip
FORMAT = 1
DATABASE = "index.sqlite"
CHECKSUM = "index.sha256"  # of the database while nobody writes: a writer removes it first
LOCK = "index.lock"  # an empty database that the writer locks; the system frees the lock however the writer ends
MAX_CHECKED_BYTES = 1 << 30  # a larger database is not read through when it is opened
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
 id INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, record TEXT NOT NULL, size INTEGER NOT NULL, \
mtime_ns INTEGER NOT NULL,
 sha256 TEXT NOT NULL, leads TEXT NOT NULL, seconds REAL NOT NULL, age REAL, sex TEXT, report TEXT NOT NULL,
 labels TEXT NOT NULL, quality TEXT NOT NULL, other TEXT NOT NULL);
CREATE TABLE windows (
 id INTEGER PRIMARY KEY AUTOINCREMENT, record_id INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE, \
start_s REAL NOT NULL);
CREATE INDEX windows_of_record ON windows (record_id);
CREATE TABLE pending (id INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY);
CREATE TABLE failures (file TEXT PRIMARY KEY, record TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
"""  # not a letter may change, as the tables of existing indexes are compared with it
# records: one row for each. windows: their windows of 10 s. pending: vectors of windows, float16, not in the FAISS file
# yet. dead: windows that are gone, but whose vectors are still in the FAISS file. failures: records that could not be
# read. meta: weights_sha256, dim, columns, and what the last fold wrote (fold.py).


class Store:
    """The folder of an index.

    Threads may share a store: its connection is used by one at a time.

    Parameters
    ----------
    folder : Path
        Where the index is, or where `create` makes one.

    Attributes
    ----------
    vectors : VectorFile or None
        The FAISS file that the last `snapshot` opened; None if all vectors are pending.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.vectors: VectorFile | None = None
        self._turn = threading.RLock()

    @property
    def database(self) -> Path:
        """The path of the SQLite file."""
        return self.folder / DATABASE

    # --- making and opening -------------------------------------------------------------------------------------------

    def create(self, weights_sha256: str, dim: int) -> None:
        """Make an empty index for vectors of `dim` numbers by these weights, unless another program has just made it.

        Raises
        ------
        EcgclipError
            The folder holds something else.
        """
        unfinished = rf"({LOCK}|{DATABASE}\.\w+\.partial)(-journal)?"  # left by a program that was killed
        if self.folder.exists() and (
            not self.folder.is_dir() or any(not re.fullmatch(unfinished, f.name) for f in self.folder.iterdir())
        ):
            raise EcgclipError(f"{self.folder}: is not an index and not empty; give a new folder")
        with self.errors_in_one_line():
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.lock():
                if not self.database.exists():
                    self._write_empty({"weights_sha256": weights_sha256, "dim": dim, "generation": 0})

    def _write_empty(self, meta: dict[str, Any]) -> None:
        with replacing(self.database) as partial, closing(sqlite3.connect(partial, isolation_level=None)) as db:
            db.executescript(
                f"PRAGMA auto_vacuum=INCREMENTAL; PRAGMA application_id={APPLICATION_ID}; "
                f"PRAGMA user_version={FORMAT}; {SCHEMA}"
            )
            db.executemany("INSERT INTO meta VALUES (?, ?)", [(key, str(value)) for key, value in meta.items()])

    def check(self) -> None:
        """Check the files, within `errors_in_one_line`. Raises if one is missing, truncated, edited or foreign."""
        self._check_schema()
        self._check_content()
        self.open_vectors()

    @cached_property
    def _db(self) -> sqlite3.Connection:
        """A connection that may write even for readers: after a crash, the first one rolls a transaction back."""
        try:
            db = self._connect("rw")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:  # a folder that may only be read
            db = self._connect("ro")
        db.execute("PRAGMA foreign_keys=ON")
        return db

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.database.absolute().as_uri()}?mode={mode}"
        db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA trusted_schema=OFF")
        return db

    def _check_schema(self) -> None:
        """Raise if it is not an index, or of another format, or has views or triggers, which could run foreign code."""
        db = self._db
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise sqlite3.DatabaseError("a database of another program")
        if (version := db.execute("PRAGMA user_version").fetchone()[0]) != FORMAT:
            raise EcgclipError(
                f"{self.folder}: an index of format {version}, this ecgclip reads {FORMAT}; build it again"
            )
        empty = sqlite3.connect(":memory:")
        empty.executescript(SCHEMA)
        listing = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
        if db.execute(listing).fetchall() != empty.execute(listing).fetchall():
            raise sqlite3.DatabaseError("its tables are not those of an index")

    def _check_content(self) -> None:
        """Raise if the database is not as it was written or, without a checksum, if SQLite finds it damaged."""
        if self.database.stat().st_size > MAX_CHECKED_BYTES:
            return
        while checksum := self._checksum():
            if checksum == file_sha256(self.database):
                return
            if checksum == self._checksum():  # else another program has written meanwhile
                raise sqlite3.DatabaseError(f"{DATABASE} is not as it was written")
        problem = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)

    def _checksum(self) -> str:
        """The stored checksum; empty while a program writes, and after one was interrupted."""
        try:
            return (self.folder / CHECKSUM).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return ""

    def open_vectors(self) -> None:
        """Open the FAISS file that the database names now: another program may have written a new one."""
        with self.snapshot():
            pass

    def _open_vectors(self) -> None:
        meta = self.meta
        name = meta.get("vectors", "")
        if self.vectors and self.vectors.path.name == name:
            return
        self.vectors = None
        if name:
            if not re.fullmatch(r"vectors-\d+\.faiss", name):
                raise ValueError(f"a vector file called {name[:40]!r}")
            path = self.folder / name
            self.vectors = VectorFile.open(path, meta["vectors_sha256"], int(meta["nprobe"]), int(meta["dim"]))

    @contextmanager
    def errors_in_one_line(self) -> Iterator[None]:
        """Turn what SQLite, FAISS or a decoder raise for damaged files into an EcgclipError of one line."""
        try:
            yield
        except EcgclipError:
            raise
        except (sqlite3.OperationalError, OSError) as error:
            if "locked" in str(error):
                raise EcgclipError(f"{self.folder}: another program is writing to this index; wait for it") from None
            raise EcgclipError(f"{self.folder}: cannot be used ({_one_line(error)})") from None
        except (sqlite3.Error, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError) as error:
            raise EcgclipError(
                f"{self.folder}: a damaged or foreign index ({_one_line(error)}); build it again"
            ) from None

    # --- reading ------------------------------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one committed state and the vectors that belong to it; the next commit of a writer waits meanwhile."""
        with self._turn:
            self._db.execute("BEGIN")
            try:
                self._open_vectors()
                yield
            finally:
                self._db.execute("COMMIT")

    def query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple]:
        """All rows that a statement gives."""
        with self._turn:
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def cursor(self, sql: str) -> Iterator[sqlite3.Cursor]:
        """The rows that a statement gives, one at a time, where there may be millions; other threads wait meanwhile."""
        with self._turn:
            yield self._db.execute(sql)

    @contextmanager
    def guarded(self, authorizer: Any) -> Iterator[None]:
        """Statements in the context do only what an authorizer of SQLite allows."""
        with self._turn:
            self._db.set_authorizer(authorizer)
            try:
                yield
            finally:
                self._db.set_authorizer(lambda *_: sqlite3.SQLITE_OK)  # None is not enough for Python 3.10

    def count(self, table: str) -> int:
        """The number of rows in a table."""
        return self.query(f"SELECT count(*) FROM {table}")[0][0]

    @property
    def meta(self) -> dict[str, str]:
        """The table `meta`."""
        return dict(self.query("SELECT key, value FROM meta"))

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return int(self.meta["dim"])

    @property
    def extra_columns(self) -> list[str]:
        """The columns that facts have added; stored, as gathering them from a million records takes a second."""
        return json.loads(self.meta.get("columns", "[]"))

    def dead(self) -> np.ndarray:
        """The windows, int64 (n,), that are gone, but whose vectors are still in the FAISS file."""
        return np.array([window for (window,) in self.query("SELECT id FROM dead")], np.int64)

    def pending(self, chunk: int = 65_536) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The vectors that are not in the FAISS file yet, in chunks: windows int64 (n,), ascending; float32 (n, dim)"""
        dim, last = self.dim, -1
        while rows := self.query("SELECT id, vector FROM pending WHERE id > ? ORDER BY id LIMIT ?", (last, chunk)):
            windows = np.array([row[0] for row in rows], np.int64)
            vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f2").reshape(len(rows), dim)
            yield windows, vectors.astype(np.float32)
            last = rows[-1][0]

    # --- writing ------------------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by one program at a time; raises sqlite3.OperationalError ("locked") in the others."""
        with closing(sqlite3.connect(self.folder / LOCK, timeout=0, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            for file in self.folder.glob("*.partial*"):  # of a program that was killed, as nobody else writes now
                file.unlink()
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write as the only program, from the state that the last writer left; at the end, store the checksum anew."""
        with self.lock():
            with self.snapshot():
                (self.folder / CHECKSUM).unlink(missing_ok=True)
            try:
                yield
            finally:
                self._write_checksum()

    def _write_checksum(self) -> None:
        if self.database.stat().st_size <= MAX_CHECKED_BYTES:
            write_atomic(self.folder / CHECKSUM, file_sha256(self.database) + "\n")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of it or, if anything is raised, nothing."""
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]  # SQLite quotes a damaged statement with its line breaks
