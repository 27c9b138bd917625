"""An archive of ECGs to search by words, by another ECG, or by both: one folder, facts in SQLite, vectors in FAISS.

    records ──embed──▶ index.sqlite: facts and new vectors, a transaction a batch ──fold──▶ vectors-N.faiss
    text, ECG ──▶ one query vector ──▶ the nearest windows among those that pass the filter ──▶ hits

What was committed is found, folded or not: an interruption at any moment costs the batches under way and nothing else.
One program writes at a time; any number read meanwhile, each search in one committed state.
Entry point: `ECGIndex`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgclip.data.metadata import Metadata, load_metadata
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.files import replacing, write_atomic
from ecgclip.index.vectors import KINDS, VectorFile, file_sha256
from ecgclip.io.records import find_records, record_hash, record_stamp

if TYPE_CHECKING:
    from ecgclip.index.workers import Row
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.prompts import Prompt
    from ecgclip.model.results import Embedding, Record

APPLICATION = 0x45434758  # "ECGX" in the database's header: this is an index, and of no other program
FORMAT = 1
FOLD_AT = 100_000  # vectors that wait in the database are folded into the FAISS file at so many, else at the end
CANDIDATES = 200  # windows nearest to an ECG, among which its like are looked for
FILE = "index.sqlite"
CHECKSUM = "index.sha256"  # of the database at rest: whoever writes takes it away first
LOCK = "index.lock"  # an empty database, locked by whoever writes; the system frees it however that ends
CHECKED_BYTES = 1 << 30  # a larger database is not read through on opening
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
 id INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, record TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
 sha256 TEXT NOT NULL, leads TEXT NOT NULL, seconds REAL NOT NULL, age REAL, sex TEXT, report TEXT NOT NULL,
 labels TEXT NOT NULL, quality TEXT NOT NULL, other TEXT NOT NULL);
CREATE TABLE windows (
 id INTEGER PRIMARY KEY AUTOINCREMENT, record_id INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE, start_s REAL NOT NULL);
CREATE INDEX windows_of_record ON windows (record_id);
CREATE TABLE pending (id INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE dead (id INTEGER PRIMARY KEY);
CREATE TABLE failures (file TEXT PRIMARY KEY, record TEXT NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID;
"""
COLUMNS = ("record", "start_s", "seconds", "leads", "age", "sex", "report", "labels", "quality")  # for --where
FUNCTIONS = (
    *("like", "glob", "lower", "upper", "length", "substr", "instr", "trim", "abs", "round", "coalesce", "ifnull"),
    *("json_extract", "json_group_array"),  # ours
)


@dataclass(frozen=True)
class Hit:
    """A window found. score: what `measure` names, the cosine to the query, or the likeness to an ECG asked for alone: what
    both should have in common, from 0 to 1 (ECGCLIP.likeness).

    labels: the statements that the record came with.
    """

    rank: int
    score: float
    record: str  # its path as given when it was indexed, without .hea
    start_s: float
    report: str
    labels: tuple[str, ...]
    file: str = ""  # its absolute path, without .hea
    measure: str = "cosine"  # or likeness

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `ecgclip search` and `ecgclip similar`."""
        keys = ("rank", "score", "record", "start_s", "report")
        return {**{k: getattr(self, k) for k in keys}, "labels": list(self.labels), "measure": self.measure}


@dataclass(frozen=True)
class Change:
    """What a build or a removal did, in records."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0
    moved: int = 0


class ECGIndex:
    """An index on disk. `open` one or `build` one; `search` it by text, by an ECG or by both; `add` to it, `remove` from it.

    model: that of the index, an ECGCLIP or its name as for load_model; None is the shipped one.
    """

    def __init__(self, folder: str | Path, model: str | Path | ECGCLIP | None = None):
        self.folder, self._model = Path(folder), model
        self.last = Change()
        self._vectors: VectorFile | None = None
        self._turn = threading.RLock()  # threads may share an index: its connection is used by one at a time

    # --- opening ------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | Path, model: str | Path | ECGCLIP | None = None) -> ECGIndex:
        """Check the files of an index. Raises EcgclipError where they are missing, truncated, edited or foreign."""
        index = cls(folder, model)
        if not (index.folder / FILE).is_file():
            raise EcgclipError(f"{folder}: no index here; make one with `ecgclip index build RECORDS -o {folder}`")
        with index._damage():
            index._check_schema()
            index._check_content()
            with index._snapshot():
                pass
        if not isinstance(model, str | Path | None):  # loaded already, so that the check costs nothing
            index._same_weights()
        return index

    @cached_property
    def model(self) -> ECGCLIP:
        from ecgclip.model.clip import ECGCLIP
        from ecgclip.model.store import load_model

        model = self._model if isinstance(self._model, ECGCLIP) else load_model(self._model)
        if model.folder is None:
            raise EcgclipError("an index names its weights by their file: save the model, then load_model(folder)")
        return model

    @cached_property
    def _db(self) -> sqlite3.Connection:
        """Opened to write even by a reader, as after a crash the first one rolls back what was half done."""
        uri = (self.folder / FILE).absolute().as_uri()
        try:
            db = sqlite3.connect(f"{uri}?mode=rw", uri=True, timeout=30, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA trusted_schema=OFF")
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:  # a folder that we may only read
            db = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=30, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA trusted_schema=OFF")
        db.execute("PRAGMA foreign_keys=ON")
        return db

    def _check_schema(self) -> None:
        db = self._db
        if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise sqlite3.DatabaseError("a database of another program")
        if (version := db.execute("PRAGMA user_version").fetchone()[0]) != FORMAT:
            raise EcgclipError(
                f"{self.folder}: an index of format {version}, this ecgclip reads {FORMAT}; build it again"
            )
        # no trigger, view or table that we did not make: they could run expressions of somebody else's
        ours = sqlite3.connect(":memory:")
        ours.executescript(SCHEMA)
        listing = "SELECT type, name, sql FROM sqlite_master ORDER BY name"
        if db.execute(listing).fetchall() != ours.execute(listing).fetchall():
            raise sqlite3.DatabaseError("its tables are not those of an index")

    def _check_content(self) -> None:
        """The database is as it was written; after an interruption, or while somebody writes, at least sound."""
        file = self.folder / FILE
        if file.stat().st_size > CHECKED_BYTES:
            return
        while vouched := self._checksum():
            if vouched == file_sha256(file):
                return
            if vouched == self._checksum():  # else somebody has been writing
                raise sqlite3.DatabaseError(f"{FILE} is not as it was written")
        problem = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)

    def _checksum(self) -> str:
        try:
            return (self.folder / CHECKSUM).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return ""

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """Whatever SQLite, FAISS or a decoder finds wrong becomes one line."""
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

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """One committed state to read, with the vectors that belong to it: a writer's next commit waits until it is left."""
        with self._turn:
            self._db.execute("BEGIN")
            try:
                self._open_vectors()
                yield
            finally:
                self._db.execute("COMMIT")

    def _open_vectors(self) -> None:
        """The file that the database points to now: another program may have folded since."""
        meta = self.meta
        name = meta.get("vectors", "")
        if self._vectors and self._vectors.path.name == name:
            return
        self._vectors = None
        if name:
            if not re.fullmatch(r"vectors-\d+\.faiss", name):
                raise ValueError(f"a vector file called {name[:40]!r}")
            path = self.folder / name
            self._vectors = VectorFile.open(path, meta["vectors_sha256"], int(meta["nprobe"]), int(meta["dim"]))

    @property
    def meta(self) -> dict[str, str]:
        return dict(self._ask("SELECT key, value FROM meta"))

    def _same_weights(self) -> None:
        stored, ours = self.meta.get("weights_sha256"), self.model.weights_sha256
        if stored != ours:
            raise EcgclipError(
                f"{self.folder}: made by other weights ({str(stored)[:12]}…, these are {ours[:12]}…): "
                "give --model the weights it was made with, or build it again"
            )

    # --- building -----------------------------------------------------------------------------------------------------

    @classmethod
    def build(cls, paths: Sequence[str | os.PathLike], folder: str | Path, *, model=None, **options: Any) -> ECGIndex:
        """Make the index in `folder`, or go on with the one that is there; options as of `add`."""
        if not (Path(folder) / FILE).exists():
            cls(folder, model)._create()
        index = cls.open(folder, model)
        index.add(paths, **options)
        return index

    def _create(self) -> None:
        weights, dim = self.model.weights_sha256, self.model.config.ecg.dim
        unfinished = rf"({LOCK}|{FILE}\.\w+\.partial)(-journal)?"  # of a program that was killed
        if self.folder.exists() and (
            not self.folder.is_dir() or any(not re.fullmatch(unfinished, f.name) for f in self.folder.iterdir())
        ):
            raise EcgclipError(f"{self.folder}: is no index and not empty; give a new folder")
        with self._damage():
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock():
                if (self.folder / FILE).exists():  # another program was faster
                    return
                with (
                    replacing(self.folder / FILE) as partial,
                    closing(sqlite3.connect(partial, isolation_level=None)) as db,
                ):
                    db.executescript(
                        f"PRAGMA auto_vacuum=INCREMENTAL; PRAGMA application_id={APPLICATION}; "
                        f"PRAGMA user_version={FORMAT}; {SCHEMA}"
                    )
                    facts = {"weights_sha256": weights, "dim": dim, "generation": 0}
                    db.executemany("INSERT INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in facts.items()])

    def add(
        self,
        paths: Sequence[str | os.PathLike],
        *,
        workers: int | None = None,
        engine: str = "local",
        kind: str = "auto",
        facts: str | Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Change:
        """Embed the records that `paths` name (headers, folders, globs) and that are new or changed.

        A record whose files have moved keeps its vectors and facts, under its new path; a copy is a record of its own.
        workers: processes; engine: "local" or "ray"; kind: of index, "auto", "exact" or "ivf". facts: a CSV file with a
        column `record` (paths relative to it) and any of report, labels (separated by ";"), age, sex; its other columns can
        be filtered by. progress: called with records done and in all. What cannot be read is listed in unreadable.csv.
        Raises EcgclipError where a path names no record, or the index was made by other weights.
        """
        from ecgclip.index.embedding import embed_records

        if kind not in ("auto", *KINDS):
            raise EcgclipError(f"unknown kind {kind!r} of index: auto, {', '.join(KINDS)}")
        self._same_weights()
        found = {os.path.abspath(record): record for path in paths for record in find_records(path)}
        known = load_metadata(paths, facts, self.model.kb, found)
        counts = dict.fromkeys(("added", "changed", "unchanged", "failed", "moved"), 0)
        with self._damage(), self._writing():
            self._kind(kind)  # if it cannot be, better now than after hours
            jobs, counts["unchanged"], counts["failed"] = self._jobs(found, known)
            jobs, counts["moved"] = self._move(jobs, known)
            done, total, waiting = len(found) - len(jobs), len(found), self._count("pending")
            if progress:
                progress(done, total)
            for rows in embed_records(jobs, self.model, workers, engine, self.folder):
                with self._transaction() as db:
                    for row in rows:
                        counts[self._put(db, row, known.get(row.file))] += 1
                done += len(rows)
                if progress:
                    progress(done, total)
                waiting += sum(len(row.start_s) for row in rows)
                if waiting >= FOLD_AT:
                    self._fold(kind, under_way=True)
                    waiting = 0
            self._write_failures()
            self._fold(kind)
        self.last = Change(**counts)
        return self.last

    def _jobs(self, found: dict[str, str], known: dict[str, Metadata]) -> tuple[list[tuple[str, str, str]], int, int]:
        """(file, record as given, hash when last embedded) of what is new or may have changed; how many have not or cannot."""
        failures = [(f,) for (f,) in self._ask("SELECT file FROM failures") if not os.path.exists(f + ".hea")]
        jobs, odd, unchanged, fresh = [], [], 0, []
        for file, record in found.items():
            if (name := _printable(file)) != file:
                odd.append((name, _printable(record), f"{name}: its name is not UTF-8; rename it"))
                continue
            rows = self._ask("SELECT size, mtime_ns, sha256 FROM records WHERE file = ?", (file,))
            if not rows or rows[0][:2] != record_stamp(file):
                jobs.append((file, record, rows[0][2] if rows else ""))
                continue
            unchanged += 1
            if file in known:
                fresh.append(known[file])
        with self._transaction() as db:
            db.executemany("DELETE FROM failures WHERE file = ?", failures)
            db.executemany("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", odd)
            for facts in fresh:
                self._set_facts(db, facts)
            columns = {*self._columns(), *(key for facts in known.values() for key in facts.other)}
            stored = json.dumps(sorted(columns), ensure_ascii=False)
            db.execute("INSERT OR REPLACE INTO meta VALUES ('columns', ?)", (stored,))
        return jobs, unchanged, len(odd)

    def _move(
        self, jobs: list[tuple[str, str, str]], known: dict[str, Metadata]
    ) -> tuple[list[tuple[str, str, str]], int]:
        """Find new records again among those whose files are gone, by their contents → the other jobs, and how many moved."""
        new = [file for file, _, before in jobs if not before] if self._ask("SELECT 1 FROM records LIMIT 1") else []
        stamps = {file: stamp for file in new if (stamp := record_stamp(file))}
        gone: dict[tuple[int, str], list[str]] = {}
        for file, size, sha256 in self._gone({size for size, _ in stamps.values()}):
            gone.setdefault((size, sha256), []).append(file)
        sizes, left, moved = {size for size, _ in gone}, [], []
        for file, record, before in jobs:
            size, mtime_ns = stamps.get(file, (-1, 0))
            old: list[str] = []
            if size in sizes:  # else there is nothing to read it for
                with suppress(EcgclipError):  # what cannot be read is told when it is embedded
                    old = gone.get((size, record_hash(file)), [])
            if old:  # where several have the same contents, the one of the same name is taken
                old.sort(key=lambda path: (os.path.basename(path) == os.path.basename(file), path))
                moved.append((file, record, size, mtime_ns, old.pop()))
            else:
                left.append((file, record, before))
        with self._transaction() as db:
            change = "UPDATE records SET file = ?, record = ?, size = ?, mtime_ns = ? WHERE file = ?"
            db.executemany(change, moved)
            db.executemany("DELETE FROM failures WHERE file = ?", [(file,) for file, *_ in moved])
            for file, *_ in moved:
                if file in known:
                    self._set_facts(db, known[file])
        return left, len(moved)

    def _gone(self, sizes: Collection[int] | None = None) -> list[tuple[str, int, str]]:
        """(file, size, hash) of the records, of these sizes or of any, whose headers are not there."""
        if sizes is not None and not sizes:
            return []
        gone, folder, there = [], "", set()
        with self._turn:
            for row in self._db.execute("SELECT file, size, sha256 FROM records ORDER BY file"):
                if sizes is None or row[1] in sizes:
                    if (
                        at := os.path.dirname(row[0])
                    ) != folder:  # to list a folder is quicker than to ask for each file
                        folder, there = at, set()
                        with suppress(OSError):
                            there = set(os.listdir(at))
                    if os.path.basename(row[0]) + ".hea" not in there and not os.path.exists(row[0] + ".hea"):
                        gone.append(row)
        return gone

    def _put(self, db: sqlite3.Connection, row: Row, facts: Metadata | None) -> str:
        """Store what embedding one record gave; → added, changed, unchanged or failed."""
        if row.error:
            if os.access(row.file + ".hea", os.R_OK):  # out of reach is not gone: what is indexed of it stays
                self._delete(db, [row.file])
            db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (row.file, row.record, row.error))
            return "failed"
        db.execute("DELETE FROM failures WHERE file = ?", (row.file,))
        if row.vectors is None:  # touched, but the same bytes
            db.execute("UPDATE records SET size = ?, mtime_ns = ? WHERE file = ?", (row.size, row.mtime_ns, row.file))
            outcome = "unchanged"
        else:
            # what a table of facts once said is kept: this run may have been given none
            said = db.execute("SELECT report, labels, other FROM records WHERE file = ?", (row.file,)).fetchone()
            outcome = "changed" if self._delete(db, [row.file]) else "added"
            labels = json.dumps(row.labels, ensure_ascii=False) if row.labels or not said else said[1]
            values = (
                *(row.file, row.record, row.size, row.mtime_ns, row.sha256, row.leads, row.seconds),
                *(row.age, row.sex, said[0] if said else "", labels, row.quality, said[2] if said else "{}"),
            )
            names = "file, record, size, mtime_ns, sha256, leads, seconds, age, sex, report, labels, quality, other"
            new = db.execute(f"INSERT INTO records ({names}) VALUES ({', '.join('?' * len(values))})", values).lastrowid
            for start, vector in zip(row.start_s, row.vectors, strict=True):
                window = db.execute("INSERT INTO windows (record_id, start_s) VALUES (?, ?)", (new, start)).lastrowid
                db.execute("INSERT INTO pending VALUES (?, ?)", (window, vector.astype("<f2").tobytes()))
        if facts:
            self._set_facts(db, facts)
        return outcome

    def _set_facts(self, db: sqlite3.Connection, facts: Metadata) -> None:
        """What a table says of a record overrules its header, where it says anything; written only where it is news."""
        labels = json.dumps(facts.labels, ensure_ascii=False) if facts.labels is not None else None
        other = json.dumps(facts.other, ensure_ascii=False)
        names = "(age, sex, report, labels, other)"
        new = "(coalesce(?1, age), coalesce(?2, sex), coalesce(?3, report), coalesce(?4, labels), ?5)"
        db.execute(
            f"UPDATE records SET {names} = {new} WHERE file = ?6 AND {names} IS NOT {new}",
            (facts.age, facts.sex, facts.report, labels, other, facts.file),
        )

    def _delete(self, db: sqlite3.Connection, files: Sequence[str]) -> int:
        """Forget records; vectors of theirs that are folded stay as dead ones until the next fold."""
        gone = 0
        for file in files:
            row = db.execute("SELECT id FROM records WHERE file = ?", (file,)).fetchone()
            if row:
                windows = "SELECT id FROM windows WHERE record_id = ?"
                db.execute(f"INSERT INTO dead {windows} AND id NOT IN (SELECT id FROM pending)", row)
                db.execute(f"DELETE FROM pending WHERE id IN ({windows})", row)
                db.execute("DELETE FROM windows WHERE record_id = ?", row)
                db.execute("DELETE FROM records WHERE id = ?", row)
                gone += 1
        return gone

    def remove(self, paths: Sequence[str | os.PathLike] = (), *, missing: bool = False, yes: bool = False) -> Change:
        """Forget the records below these paths (as they were given or not, there or not); missing: those whose files are gone.

        Raises EcgclipError where more than a tenth are missing, unless `yes` says that they are to be forgotten.
        """
        with self._damage(), self._writing():
            chosen: set[str] = set()
            for path in paths:
                stem = os.path.abspath(os.fspath(path).removesuffix(".hea")).rstrip(os.sep)
                # all below a folder sort between "folder/" and the character that follows the slash
                bounds = (stem, stem + os.sep, stem + chr(ord(os.sep) + 1))
                below = "WHERE file = ? OR file > ? AND file < ?"
                files = self._ask(
                    f"SELECT file FROM records {below} UNION SELECT file FROM failures {below}", 2 * bounds
                )
                if not files:
                    raise EcgclipError(f"{path}: nothing of it is in the index {self.folder}")
                chosen.update(file for (file,) in files)
            if missing:
                gone = [file for file, *_ in self._gone()]
                total = self._count("records")
                if len(gone) > total / 10 and not yes:
                    raise EcgclipError(
                        f"{self.folder}: the files of {len(gone):,} of {total:,} records are missing, such as {gone[0]}; is a "
                        "disk or a share not there? If they are to be forgotten, say so: --yes (in Python yes=True)"
                    )
                failed = self._ask("SELECT file FROM failures")
                chosen.update(gone, (file for (file,) in failed if not os.path.exists(file + ".hea")))
            with self._transaction() as db:
                gone = self._delete(db, sorted(chosen))
                db.executemany("DELETE FROM failures WHERE file = ?", [(file,) for file in chosen])
            self._write_failures()
            self._fold("auto")
        self.last = Change(removed=gone)
        return self.last

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Held by one program at a time."""
        with closing(sqlite3.connect(self.folder / LOCK, timeout=0, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            for file in self.folder.glob("*.partial*"):  # of a program that was killed: nobody else writes here now
                file.unlink()
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone, from the state that the last writer left; the checksum vouches for a database at rest only."""
        with self._lock():
            with self._snapshot():
                (self.folder / CHECKSUM).unlink(missing_ok=True)
            try:
                yield
            finally:
                self._write_checksum()

    def _write_checksum(self) -> None:
        file = self.folder / FILE
        if file.stat().st_size <= CHECKED_BYTES:
            write_atomic(self.folder / CHECKSUM, file_sha256(file) + "\n")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has ended it already
                    self._db.execute("ROLLBACK")
                raise

    def _count(self, table: str) -> int:
        return self._ask(f"SELECT count(*) FROM {table}")[0][0]

    def _ask(self, query: str, values: Sequence[Any] = ()) -> list[tuple]:
        with self._turn:
            return self._db.execute(query, values).fetchall()

    # --- folding ------------------------------------------------------------------------------------------------------

    def _pending(self, chunk: int = 65_536) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """ids int64 (n,) and vectors float32 (n, dim) of what waits, in chunks."""
        dim, last = int(self.meta["dim"]), -1
        while rows := self._ask("SELECT id, vector FROM pending WHERE id > ? ORDER BY id LIMIT ?", (last, chunk)):
            ids = np.array([r[0] for r in rows], np.int64)
            yield ids, np.frombuffer(b"".join(r[1] for r in rows), "<f2").reshape(len(rows), dim).astype(np.float32)
            last = rows[-1][0]

    def _kind(self, asked: str, under_way: bool = False) -> str:
        """The kind that the next vector file has to be. An override holds until the next one.

        While a build is under way its vectors stay exact, up to a million: the compression is then trained on all of them.
        """
        old = self._vectors.kind if self._vectors else None
        if asked == "exact" and old == "ivf":
            raise EcgclipError(f"{self.folder}: compressed vectors cannot become exact again; build the index anew")
        windows = self._count("windows")
        if old == "ivf":
            return "ivf"
        if windows <= (10 * FOLD_AT if under_way else 0):
            return "exact"
        by_count = "exact" if windows <= FOLD_AT else "ivf"
        return self.meta.get("asked", by_count) if asked == "auto" else asked

    def _fold(self, asked: str, under_way: bool = False) -> None:
        """See that the vector file holds all living windows and is of the right kind; clear away what came before it."""
        kind, meta = self._kind(asked, under_way), self.meta
        as_asked = meta.get("kind") == kind and asked in ("auto", meta.get("asked"))
        if self._count("pending") or self._count("dead") or (self._count("windows") and not as_asked):
            self._write_vectors(kind, {"asked": asked} if asked != "auto" else {})
        for file in self.folder.glob("vectors-*"):
            if file.name != self.meta.get("vectors"):  # of an earlier generation, or of a fold that was interrupted
                with suppress(OSError):  # Windows keeps what a reader has open; the next fold tries again
                    file.unlink()

    def _write_vectors(self, kind: str, facts: dict[str, Any]) -> None:
        """Write a new vector file, then point to it and empty `pending` in one transaction."""
        meta = self.meta
        generation = int(meta["generation"]) + 1
        name = f"vectors-{generation}.faiss"
        dead = np.array([i for (i,) in self._ask("SELECT id FROM dead")], np.int64)
        facts |= VectorFile.write(self.folder / name, kind, self._vectors, dead, self._pending, int(meta["dim"]))
        facts |= {"vectors": name, "generation": generation}
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", [(k, str(v)) for k, v in facts.items()])
            db.execute("DELETE FROM pending")
            db.execute("DELETE FROM dead")
        self._ask("PRAGMA incremental_vacuum")
        with self._snapshot():
            pass

    def _write_failures(self) -> None:
        rows = self._ask("SELECT record, reason FROM failures ORDER BY record")
        file = self.folder / "unreadable.csv"
        if not rows:
            file.unlink(missing_ok=True)
            return
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerows([("record", "reason"), *rows])
        write_atomic(file, text.getvalue())

    # --- searching ----------------------------------------------------------------------------------------------------

    def search(
        self,
        text: str | None = None,
        *,
        like: Record | Embedding | None = None,
        without: str | None = None,
        k: int = 10,
        where: str | None = None,
    ) -> list[Hit]:
        """The k records nearest to words, to an ECG, or to both, each with its best window, best first.

        text is read as a label is; several conditions ("inferior infarct with AV block") count alike, and of alternatives the nearest. like: a
        record; it is not found itself, and without text it ranks by ECGCLIP.likeness. without: words for what is left out, as is what
        text denies: records of which any window, wherever it lies, is likely to have it (ECGCLIP.likely). where: an SQL
        condition on record, start_s, seconds, leads, age, sex ('F' or 'M'), report, labels, quality and the columns of the
        facts table; only the windows that meet it are ranked. Raises EcgclipError for no query, a bad condition, or an index of other weights.
        """
        if k < 1:
            raise EcgclipError(f"k must be at least 1, not {k}")
        if not (text or like):
            raise EcgclipError("nothing to search for: give words, a record to be like, or both")
        self._same_weights()
        example = self._example(like)
        asked = self.model.prompt(text) if text else None
        denials = [self.model.prompt(without)] if without else []
        alternatives = asked.parts if asked and asked.any_of else (asked,)
        itself = self._hash(like)
        best: dict[str, Hit] = {}
        with self._damage(), self._snapshot():
            allowed = self._allowed(where)
            for part in alternatives:  # of alternatives the nearest counts
                unlike = denials + (unwanted(part) if part else [])
                vector = self._query(part, example)
                for hit in self._hits(vector, None if asked else example, itself, k, allowed, unlike):
                    if hit.record not in best or hit.score > best[hit.record].score:
                        best[hit.record] = hit
        ranked = sorted(best.values(), key=lambda hit: -hit.score)[:k]
        hits = [replace(hit, rank=rank) for rank, hit in enumerate(ranked, 1)]
        by_likeness = not asked and self.model._statements is not None  # else a model has but cosines
        return [replace(hit, measure="likeness") for hit in hits] if by_likeness else hits

    def _example(self, like: Record | Embedding | None) -> np.ndarray | None:
        """The vector of a record to search with, embedded here unless it is already."""
        if like is None:
            return None
        return like.vector if hasattr(like, "vector") else self.model.embed_ecg(like)[0]

    @staticmethod
    def _hash(like: Record | Embedding | None) -> str:
        """Of a record's own files, as far as there are any."""
        source = like.source if isinstance(like, ECG) else getattr(like, "record", like) or None
        with suppress(EcgclipError):  # an ECG may be all that is left of its files
            return record_hash(source) if source is not None else ""
        return ""

    def _query(self, asked: Prompt | None, example: np.ndarray | None) -> np.ndarray:
        """The unit vector to search with: what is asked for, and away from what is denied only where nothing else is said."""
        model, parts = self.model, []
        leaves = asked.leaves if asked else ()
        stated = [leaf.vector for leaf in leaves if not leaf.denied]
        if example is not None:
            stated.append(model.like(example))
        parts = stated or [-leaf.vector for leaf in leaves]
        if len(parts) > 1:
            # words are nowhere near as close to ECGs as ECGs are to each other: each part counts by how much its
            # similarity varies over the reference ECGs
            spread = [float((model.reference @ v).std()) if len(model.reference) else 1.0 for v in parts]
            parts = [v / max(s, 1e-6) for v, s in zip(parts, spread, strict=True)]
        total = np.sum(parts, 0)
        return (total / np.linalg.norm(total)).astype(np.float32)

    def _columns(self) -> list[str]:
        """Names that tables of facts have brought: kept, as to gather them from a million records takes a second."""
        return json.loads(self.meta.get("columns", "[]"))

    def _allowed(self, where: str | None) -> np.ndarray | None:
        """Ids of the windows that meet the condition; None: all do."""
        if where is None:
            return None
        extra = [name for name in self._columns() if re.fullmatch(r"[\w -]+", name) and name.lower() not in COLUMNS]
        columns = [f"{'w' if c == 'start_s' else 'r'}.{c} AS {c}" for c in COLUMNS]
        columns += [f'json_extract(r.other, \'$."{c}"\') AS "{c}"' for c in extra]
        # the condition stands in a table of its own, where it sees no other columns; what it finds must be windows
        query = (
            f'WITH ecgs AS (SELECT w.id AS " id", {", ".join(columns)} '
            "FROM main.windows w JOIN main.records r ON r.id = w.record_id), "
            f'found AS (SELECT " id" FROM ecgs WHERE ({where}\n)) '
            'SELECT json_group_array(w.id) FROM found CROSS JOIN main.windows w ON w.id = found." id"'
        )
        self._db.set_authorizer(_may_read)
        try:
            return np.array(json.loads(self._db.execute(query).fetchone()[0]), np.int64)
        except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError) as error:
            names = ", ".join((*COLUMNS, *extra))
            reason = str(error).split("\n")[0]  # the rest is ours
            raise EcgclipError(f"--where {where[:80]!r}: {reason}; columns are {names}") from None
        finally:
            self._db.set_authorizer(lambda *_: sqlite3.SQLITE_OK)  # None is not enough for Python 3.10

    def _hits(
        self,
        vector: np.ndarray,
        example: np.ndarray | None,
        itself: str,
        k: int,
        allowed: np.ndarray | None,
        denials: Sequence[Prompt],
    ) -> list[Hit]:
        """The windows nearest to `vector`, without records that have what one of the `denials` asks for; with the vector of an
        `example`, the best of more of them by their likeness to it."""
        dead = np.array([i for (i,) in self._ask("SELECT id FROM dead")], np.int64)
        held = len(self._vectors) if self._vectors else 0  # to count a million windows takes longer than the search
        windows = held - len(dead) + self._count("pending") if allowed is None else len(allowed)
        waiting = list(self._pending())
        take = min(windows, k + 8 if example is None else max(CANDIDATES, 4 * k))
        while True:
            scored = self._nearest(vector, take, allowed, dead, waiting)
            if scored and denials:
                denied = self._denied([i for i, _ in scored], denials, waiting)
                scored = [(i, s) for i, s in scored if i not in denied]
            if scored and example is not None:
                ids = [i for i, _ in scored]
                likeness = self.model.likeness(example[None], self._stored(np.array(ids, np.int64), waiting))[0]
                scored = sorted(zip(ids, likeness.tolist(), strict=True), key=lambda s: (-s[1], s[0]))
            hits = self._describe(scored, itself, k)
            if len(hits) == k or take >= windows:
                return hits
            take = min(windows, 4 * take)  # several windows of one record stood in the way, or what is denied

    def _nearest(
        self,
        vector: np.ndarray,
        take: int,
        allowed: np.ndarray | None,
        dead: np.ndarray,
        waiting: list[tuple[np.ndarray, np.ndarray]],
    ) -> list[tuple[int, float]]:
        scored: list[tuple[int, float]] = []
        if self._vectors and take:
            scored += self._vectors.search(vector, take, allowed, dead)
        for ids, vectors in waiting:
            keep = slice(None) if allowed is None else np.isin(ids, allowed, assume_unique=True)
            scored += zip(ids[keep].tolist(), (vectors[keep] @ vector).tolist(), strict=True)
        return sorted(scored, key=lambda s: (-s[1], s[0]))[:take]

    def _denied(
        self, ids: list[int], denials: Sequence[Prompt], waiting: list[tuple[np.ndarray, np.ndarray]]
    ) -> set[int]:
        """The windows of all those records of `ids` of which any window, `ids` or not, has what one of the `denials` asks for."""
        rows = self._ask(
            "SELECT id, record_id FROM windows WHERE record_id IN "
            "(SELECT record_id FROM windows WHERE id IN (SELECT value FROM json_each(?)))",
            (json.dumps(ids),),
        )
        windows, records = np.array(rows, np.int64).reshape(-1, 2).T
        likely = np.zeros(len(windows), bool)
        for first in range(0, len(windows), FOLD_AT):  # a few long recordings have as many windows as an archive
            part = slice(first, first + FOLD_AT)
            stored = self._stored(windows[part], waiting)
            likely[part] = np.any([self.model.likely(prompt, stored) for prompt in denials], 0)
        return set(windows[np.isin(records, records[likely])].tolist())

    def _stored(self, ids: np.ndarray, waiting: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """The vectors float32 (n, dim) of `ids`, folded or waiting."""
        out = np.zeros((len(ids), int(self.meta["dim"])), np.float32)
        folded = np.ones(len(ids), bool)
        for own, vectors in waiting:  # their ids ascend
            at = np.searchsorted(own, ids).clip(max=len(own) - 1)
            here = own[at] == ids
            out[here], folded = vectors[at[here]], folded & ~here
        if folded.any():
            out[folded] = self._vectors.vectors(ids[folded])
        return out

    def _describe(self, scored: list[tuple[int, float]], itself: str, k: int) -> list[Hit]:
        hits: list[Hit] = []
        seen: set[int] = set()
        facts = (
            "SELECT r.id, r.record, w.start_s, r.report, r.labels, r.file, r.sha256 "
            "FROM windows w JOIN records r ON r.id = w.record_id WHERE w.id = ?"
        )
        for window, score in scored:
            row = self._db.execute(facts, (window,)).fetchone()
            if row is None:
                raise ValueError(f"window {window} has no record")
            record_id, record, start, report, labels, file, digest = row
            if record_id in seen or (itself and digest == itself):
                continue
            seen.add(record_id)
            score = round(min(score, 1.0), 6)  # half precision may exceed it
            hits.append(Hit(len(hits) + 1, score, record, start, report, tuple(json.loads(labels)), file))
            if len(hits) == k:
                break
        return hits

    # --- looking at it ------------------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """kind, records, windows, waiting (not yet folded), unreadable, bytes (vectors, facts), bytes a vector, recall@10."""
        with self._damage(), self._snapshot():
            meta, windows = self.meta, self._count("windows")
            vectors = self._vectors
            held = len(vectors) if vectors else 0
            size = vectors.path.stat().st_size if vectors else 0
            return {
                "kind": vectors.kind if vectors else "exact",
                "records": self._count("records"),
                "windows": windows,
                "waiting": self._count("pending"),
                "unreadable": self._count("failures"),
                "vector_bytes": size,
                "bytes_a_vector": round(size / held, 1) if held else None,
                "facts_bytes": (self.folder / FILE).stat().st_size,
                "recall_at_10": float(meta["recall"]) if "recall" in meta else 1.0,
                "weights_sha256": meta["weights_sha256"],
            }


def _may_read(action: int, _table: str | None, function: str | None, *_: str | None) -> int:
    """What a condition may do: read, and compute by a few functions."""
    reads = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
    computes = action == sqlite3.SQLITE_FUNCTION and str(function).lower() in FUNCTIONS
    return sqlite3.SQLITE_OK if reads or computes else sqlite3.SQLITE_DENY


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]  # SQLite quotes a damaged statement, lines and all


def unwanted(prompt: Prompt) -> list[Prompt]:
    """What a prompt denies in any case, as prompts of what is denied: "AF without LBBB" does LBBB, "AF or no LBBB" nothing."""
    if prompt.parts and not prompt.any_of:
        return [denied for part in prompt.parts for denied in unwanted(part)]
    return [replace(leaf, denied=False) for leaf in prompt.leaves if leaf.denied] if not prompt.parts else []


def _printable(path: str) -> str:
    """The same path, but where its bytes are no UTF-8: no database could hold those."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shared(hits: Sequence[Hit], concept: str, kb: Any) -> tuple[int, int]:
    """How many of the hits carry the concept (or a narrower one), and how many carry any label at all."""
    labelled = [hit for hit in hits if hit.labels]
    return sum(concept in concepts_of(hit.labels, kb) for hit in labelled), len(labelled)


def concepts_of(labels: Sequence[str], kb: Any) -> set[str]:
    """The concepts of labels in words, with all broader ones."""
    found = {c.id for label in labels if (c := kb.find(label))}
    return found | {a for c in found for a in kb.ancestors(c)}
