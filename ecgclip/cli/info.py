"""info, simulate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer

from ecgclip.cli.app import app
from ecgclip.cli.options import Records
from ecgclip.cli.output import DISCLAIMER, _each, _measured, _row
from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.io.wfdb import read_ecg


@app.command()
def info(records: Records) -> None:
    """What was read, assumed, derived and masked; windows, R peaks, measurements, findings, and what they decide alone.

    \b
    Example:
      ecgclip info examples/records/af.hea
    """

    def show(record: str) -> None:
        for line in _info(read_ecg(record)):
            typer.echo(line)

    if not _each(records, show):
        raise typer.Exit(1)
    typer.echo(DISCLAIMER)


def _info(ecg: ECG) -> Iterator[str]:
    from ecgclip.explain.evidence import summary
    from ecgclip.measure.beats import find_beats
    from ecgclip.measure.guideline import finding_texts, findings
    from ecgclip.measure.measurement import measure_windows
    from ecgclip.measure.recording import observe
    from ecgclip.prepare import prepare

    prepared = prepare(ecg)
    beats = find_beats(prepared)
    measurements = measure_windows(prepared, beats)
    recording = observe(ecg, prepared, beats, measurements)
    age, sex = ecg.metadata["age"], ecg.metadata["sex"]
    patient = ([] if age is None else [f"age {age:.3g}"]) + ([] if sex is None else [sex])
    samples = f"{ecg.signal.shape[1]} samples at {ecg.sampling_rate:g} Hz, {ecg.seconds:.1f} s"
    yield ecg.source or ""
    yield from _row("read", ", ".join([f"{len(ecg.leads)} leads ({' '.join(ecg.leads)})", samples, *patient]))
    for note in ecg.notes:
        yield from _row("assumed" if note.startswith("assumed") else "note", note.removeprefix("assumed "))
    yield from _row("derived", " ".join(prepared.derived) or "no lead")
    masked = [lead for lead, usable in zip(LEADS, prepared.mask.all(0).tolist(), strict=True) if not usable]
    yield from _row("masked", " ".join(masked) or "no lead")
    for note in prepared.notes:
        yield from _row("note", note)
    for start, length, at in zip(prepared.start_s, prepared.length, beats.windows, strict=True):
        times = " ".join(f"{start + p / 100:.2f}" for p in at)
        yield from _row("window", f"{start:.1f} to {start + length / 100:.1f} s, {len(at)} R peaks: {times}")
    yield from _row("used", f"{recording.used_s:.1f} of {recording.seconds:.1f} s")
    yield from _measured(summary(measurements))
    for concept, decision in recording.decides().items():
        yield from _row("decided", f"{concept} {decision.probability:.2f}, {decision.words}")
    found = Counter(key for m in measurements for key, present in findings(m, age, sex).items() if present)
    texts = finding_texts()
    for key, count in found.items():
        share = f" ({count} of {len(measurements)} windows)" if len(measurements) > 1 else ""
        yield from _row("finding", texts[key]["en"][0] + share)
    yield ""


@app.command()
def simulate(
    condition: Annotated[str | None, typer.Argument(metavar="CONDITION")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="RECORD", help="Path of the record to write.")
    ] = None,
    seed: Annotated[int, typer.Option(help="A seed is a patient.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length.")] = 10.0,
    sampling_rate: Annotated[float, typer.Option(help="Hz.")] = 500.0,
    list_: Annotated[bool, typer.Option("--list", help="Print the conditions.")] = False,
) -> None:
    """Write a simulated 12-lead ECG as a WFDB record.

    \b
    Example:
      ecgclip simulate af -o records/af --seed 1
    """
    from ecgclip import simulate as simulator

    if list_:
        typer.echo("\n".join(simulator.CONDITIONS))
        return
    if condition is None or output is None:
        raise EcgclipError("simulate needs a CONDITION (see `ecgclip simulate --list`) and -o RECORD")
    typer.echo(simulator.write_record(simulator.simulate(condition, seed, seconds, sampling_rate), output))
