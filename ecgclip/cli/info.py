"""The commands info and simulate: what is read from a record, and records of known truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ecgclip.cli.app import app
from ecgclip.cli.lines import DISCLAIMER, device_lines, measurement_lines, row
from ecgclip.cli.options import KeepIds, Leads, Records, SamplingRate, Unit
from ecgclip.cli.progress import for_each_record
from ecgclip.ecg import ECG, LEADS, EcgclipError
from ecgclip.io.recording import reading_options

if TYPE_CHECKING:
    from ecgclip.measure import Beats, Measurement, Recording
    from ecgclip.prepare import Prepared


@app.command()
def info(
    records: Records,
    sampling_rate: SamplingRate = None,
    unit: Unit = None,
    leads: Leads = None,
    keep_ids: KeepIds = False,
) -> None:
    """What was read, assumed, derived and masked; windows, R peaks, measurements, findings and measured diagnoses.

    \b
    Example:
      ecgclip info examples/records/af.hea
    """

    reading = reading_options(sampling_rate, unit, leads, keep_ids)

    def show(ecg: ECG) -> None:
        for line in _info_lines(ecg):
            typer.echo(line)

    if not for_each_record(records, show, reading=reading):
        raise typer.Exit(1)
    typer.echo(DISCLAIMER)


def _info_lines(ecg: ECG) -> Iterator[str]:
    from ecgclip.explain import summary
    from ecgclip.measure import examine

    examined = examine(ecg)
    recording = examined.recording
    yield from _reading_lines(ecg)
    for note in dict.fromkeys(examined.notes):
        yield row("assumed" if note.startswith("assumed") else "note", note.removeprefix("assumed "))
    yield from _preparation_lines(examined.prepared)
    yield from _window_lines(examined.prepared, examined.heartbeats)
    yield row("used", f"{recording.used_s:.1f} of {recording.seconds:.1f} s")
    yield from measurement_lines(summary(examined.measurements))
    yield from _decision_lines(recording)
    yield from _finding_lines(ecg, examined.measurements)
    yield ""


def _reading_lines(ecg: ECG) -> Iterator[str]:
    age, sex = ecg.metadata["age"], ecg.metadata["sex"]
    parts = [
        f"{len(ecg.leads)} leads ({' '.join(ecg.leads)})",
        f"{ecg.signal.shape[1]} samples at {ecg.sampling_rate:g} Hz",
        f"{ecg.seconds:.1f} s",
    ]
    if age is not None:
        parts.append(f"age {age:.3g}")
    if sex is not None:
        parts.append(sex)
    yield ecg.source or ""
    yield row("read", ", ".join(parts))
    yield from device_lines(ecg.metadata)


def _preparation_lines(prepared: Prepared) -> Iterator[str]:
    masked = [lead for lead, windows in zip(LEADS, prepared.measured.T, strict=True) if not windows.all()]
    yield row("derived", " ".join(prepared.derived) or "no lead")
    yield row("masked", " ".join(masked) or "no lead")


def _window_lines(prepared: Prepared, beats: Beats) -> Iterator[str]:
    from ecgclip.prepare import SAMPLING_RATE

    windows = zip(prepared.start_s, prepared.length, beats.windows, strict=True)
    for start, length, peaks in windows:
        times = " ".join(f"{start + peak / SAMPLING_RATE:.2f}" for peak in peaks)
        end = start + length / SAMPLING_RATE
        yield row("window", f"{start:.1f} to {end:.1f} s, {len(peaks)} R peaks: {times}")


def _decision_lines(recording: Recording) -> Iterator[str]:
    for concept, decision in recording.decides().items():
        yield row("decided", f"{concept} {decision.probability:.2f}, {decision.words}")


def _finding_lines(ecg: ECG, measurements: Sequence[Measurement]) -> Iterator[str]:
    from ecgclip.measure import finding_texts, findings

    age, sex = ecg.metadata["age"], ecg.metadata["sex"]
    counts = Counter(key for m in measurements for key, present in findings(m, age, sex).items() if present)
    texts = finding_texts()
    for key, count in counts.items():
        share = f" ({count} of {len(measurements)} windows)" if len(measurements) > 1 else ""
        yield row("finding", texts[key]["en"][0] + share)


@app.command()
def simulate(
    condition: Annotated[str | None, typer.Argument(metavar="CONDITION", help="One that --list prints.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="RECORD", help="Path of the record to write.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Each seed is another patient.")] = 0,
    seconds: Annotated[float, typer.Option(metavar="S", help="Length in seconds.")] = 10.0,
    sampling_rate: Annotated[float, typer.Option(metavar="HZ", help="Sampling rate.")] = 500.0,
    list_: Annotated[bool, typer.Option("--list", help="Print the conditions.")] = False,
) -> None:
    """Write a simulated 12-lead ECG as a WFDB record.

    \b
    Example:
      ecgclip simulate af -o records/af --seed 1
    """
    from ecgclip.simulate import CONDITIONS, write_record
    from ecgclip.simulate import simulate as run

    if list_:
        typer.echo("\n".join(CONDITIONS))
        return
    if condition is None or output is None:
        raise EcgclipError("simulate needs a CONDITION (see `ecgclip simulate --list`) and -o RECORD")
    typer.echo(write_record(run(condition, seed, seconds, sampling_rate), output))
