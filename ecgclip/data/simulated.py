"""Simulated ECGs to train on: every condition of the simulator, of which most have no ECG in any other data set."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ecgclip import simulate as simulator
from ecgclip.data.cases import Case, LabelledRecord, make_cases
from ecgclip.files import write_atomic
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.simulate import CONDITIONS, simulate, write_record

FIRST_SEED = 10_000  # tests, benchmarks and what is fitted after training have lower ones
SAMPLING_RATE = 500  # Hz, as electrocardiographs have; pacing spikes are found from 200 on


def simulated(root: Path, kb: KnowledgeBase, seeds: int = 8) -> list[Case]:
    """Load simulated patients; what is not there yet is simulated first.

    Parameters
    ----------
    root : Path
        Gets a folder for this version of the simulator, with records and tables of what holds.
    kb : KnowledgeBase
    seeds : int
        Patients of each condition.

    Returns
    -------
    list of Case
        Of the conditions that the simulator knows, those that an ECG does not have are absent, and those that it may
        have are unknown.
    """
    folder = root / f"simulated-{_version()}"
    table = folder / f"{seeds}.json"
    if not table.exists():
        _write(folder, table, range(FIRST_SEED, FIRST_SEED + seeds))
    return make_cases(folder, kb, [_record(folder, row, kb) for row in json.loads(table.read_text())])


def _write(folder: Path, table: Path, seeds: range) -> None:
    """Write the records that an earlier call has not written, and last the table."""
    from rich.progress import track

    rows = []
    for condition in track(CONDITIONS, "simulating"):
        for seed in seeds:
            name, ecg = f"{condition}-{seed}", simulate(condition, seed, sampling_rate=SAMPLING_RATE)
            if not (folder / f"{name}.hea").exists():
                write_record(ecg, folder / name)
            truth = {key: ecg.metadata["truth"][key] for key in ("concepts", "unknown")}
            rows.append({"name": name, "age": ecg.metadata["age"], "sex": ecg.metadata["sex"], **truth})
    write_atomic(table, json.dumps(rows))


def _record(folder: Path, row: dict[str, Any], kb: KnowledgeBase) -> LabelledRecord:
    doubted = {c for unknown in kb.concepts.keys() & set(row["unknown"]) for c in {unknown} | kb.ancestors(unknown)}
    present = frozenset(kb.concepts.keys() & set(row["concepts"]))
    return LabelledRecord(
        "simulated", str(folder / row["name"]), present, row["name"], row["age"], row["sex"], doubted=frozenset(doubted)
    )


def _version() -> str:
    """A hash of the simulator's code."""
    code = b"".join(module.read_bytes() for module in sorted(Path(simulator.__file__).parent.glob("*.py")))
    return hashlib.sha256(code).hexdigest()[:16]
