"""Filters: the windows of an index that meet an SQL condition, which may read the index and nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.index.store import Store

COLUMNS = ("record", "start_s", "seconds", "leads", "age", "sex", "report", "labels", "quality")
FUNCTIONS = (
    *("like", "glob", "lower", "upper", "length", "substr", "instr", "trim", "abs", "round", "coalesce", "ifnull"),
    *("json_extract", "json_group_array"),  # used by the query around the condition
)


def windows_where(store: Store, condition: str) -> np.ndarray:
    """The windows that meet a condition.

    Parameters
    ----------
    store : Store
        The index.
    condition : str
        An SQL expression of `COLUMNS`, `FUNCTIONS` and the columns that tables of facts have added.

    Returns
    -------
    int64 (n,)
        Ids of windows.

    Raises
    ------
    EcgclipError
        The condition is not valid, or does more than read and compute.
    """
    extra = [name for name in store.extra_columns if re.fullmatch(r"[\w -]+", name) and name.lower() not in COLUMNS]
    try:
        with store.guarded(_authorize):
            windows = store.query(_query(condition, extra))[0][0]
            return np.array(json.loads(windows), np.int64)
    except (sqlite3.Error, sqlite3.Warning, ValueError, TypeError) as error:
        names = ", ".join((*COLUMNS, *extra))
        reason = str(error).split("\n")[0]  # the lines below quote the query around the condition
        raise EcgclipError(f"--where {condition[:80]!r}: {reason}; columns are {names}") from None


def _query(condition: str, extra: Sequence[str]) -> str:
    """The condition stands in a table of its own, where it sees no other columns; what it gives must be windows."""
    columns = [f"{'w' if name == 'start_s' else 'r'}.{name} AS {name}" for name in COLUMNS]
    columns += [f'json_extract(r.other, \'$."{name}"\') AS "{name}"' for name in extra]
    return (
        f'WITH ecgs AS (SELECT w.id AS " id", {", ".join(columns)} '
        "FROM main.windows w JOIN main.records r ON r.id = w.record_id), "
        f'found AS (SELECT " id" FROM ecgs WHERE ({condition}\n)) '
        'SELECT json_group_array(w.id) FROM found CROSS JOIN main.windows w ON w.id = found." id"'
    )


def _authorize(action: int, _table: str | None, function: str | None, *_: str | None) -> int:
    """What a condition may do: read, and compute by a few functions."""
    reads = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
    computes = action == sqlite3.SQLITE_FUNCTION and str(function).lower() in FUNCTIONS
    return sqlite3.SQLITE_OK if reads or computes else sqlite3.SQLITE_DENY
