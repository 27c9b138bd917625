"""Lines of text that several commands print: measurements, evidence, cases of an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgclip.model import Score

DISCLAIMER = "Research software, not a medical device."
SHOWN_WINDOWS = 6
CASE_WIDTH = 100  # characters shown of the labels or the report of a case


def row(name: str, text: str) -> str:
    """A line of a block: a name of up to ten characters, then a text."""
    return f"  {name:<10} {text}"


def case_words(case: dict[str, Any]) -> str:
    """The labels of a case of an index, or else its report, in one line."""
    text = " ".join((", ".join(case["labels"]) or case["report"]).split())
    return text if len(text) <= CASE_WIDTH else text[: CASE_WIDTH - 1] + "…"


def measurement_lines(values: dict[str, Any]) -> Iterator[str]:
    """The measurements of a record, as `ecgclip.explain.summary` gives them."""

    def number(key: str, unit: str) -> str:
        return "–" if values[key] is None else f"{values[key]:.0f}{unit}"

    variation, longest = values["rr_variation"], values["longest_rr_s"]
    parts = [
        f"rate {number('heart_rate', '/min')}",
        f"R-R {'–' if variation is None else f'± {100 * variation:.0f} %'}",
        f"longest R-R {'–' if longest is None else f'{longest:.2f} s'}",
        f"PR {number('pr_ms', ' ms')}",
        f"QRS {number('qrs_ms', ' ms')}",
        f"QT {number('qt_ms', ' ms')}",
        f"QTc {number('qtc_ms', ' ms')}",
        f"axis {number('axis_deg', '°')}",
    ]
    yield row("measured", ", ".join(parts))
    for name, key in (("R, mV", "r_mv"), ("S, mV", "s_mv"), ("ST, mV", "st_mv"), ("T, mV", "t_mv")):
        yield row(name, _by_lead(values[key], "+.2f") or "–")


def device_lines(metadata: dict[str, Any]) -> Iterator[str]:
    """What the device says of the ECG itself, where the file has it: never what ecgclip measures or scores."""
    for key, name in (("patient", "patient"), ("time", "time"), ("device", "device")):
        if metadata.get(key):
            yield row(name, str(metadata[key]))
    measured = metadata.get("measurements", {}).items()
    values = [f"{key.removesuffix('_ms').replace('_', ' ')} {value:g}" for key, value in measured]
    if values:
        yield row("device", f"measured {', '.join(values)}")
    for statement in metadata.get("statements", ()):
        yield row("device", f"states {statement}")


def evidence_lines(score: Score, evidence: dict[str, Any], window_starts: Sequence[float]) -> Iterator[str]:
    """What lies behind one score, as `ecgclip.explain.explain` gives it; `window_starts` in seconds."""
    label, observed = score.label, score.observed
    if evidence["name"]:
        yield f"{label}: {evidence['name']}: {evidence['definition']}"
    else:
        yield f"{label}: asked as it stands, without the knowledge base"
    for passage in evidence["passages"]:
        if passage["kind"] not in ("definition", "criterion"):
            source = f" [{passage['source']}]" if passage["source"] else ""
            yield row(passage["kind"], passage["text"] + source)
    for criterion in evidence["criteria"]:
        yield row("criterion", _criterion(criterion))
    for each in evidence["explained"]:
        yield row("explained", f"by {each['by']} ({each['degree']:.2f}): what is met counts less")
    if observed:
        share = f"{observed[0]:.0%} to {observed[1]:.0%}".replace("%", " %")
        yield row("observed", f"of the validation ECGs that scored about so, {share} had it (95 % interval)")
    for key, source in evidence["sources"].items():
        yield row("source", f"[{key}] {source}")
    yield row("windows", _windows(list(zip(window_starts, evidence["windows"], strict=True))))
    yield row("beats", ", ".join(map(_beat, evidence["beats"])) or "none found")
    if cases := evidence.get("cases"):
        yield row("cases", f"{cases['with_label']} of the {cases['labelled']} nearest with labels share this one")
    leads = _by_lead(evidence["leads"], "+.3f")
    yield row("leads", f"{leads} (lost without the lead)" if leads else "only one")


def _criterion(criterion: dict[str, Any]) -> str:
    role = "" if criterion["role"] == "supporting" else f" ({criterion['role']})"
    source = f" [{criterion['source']}]" if criterion["source"] else ""
    return f"{criterion['text']}{role}: {criterion['answer']}: {criterion['value']}{source}"


def _windows(windows: list[tuple[float, float]]) -> str:
    """The start and the similarity of each window; of a long recording those of the highest similarity."""
    shown = sorted(sorted(windows, key=lambda window: -window[1])[:SHOWN_WINDOWS])
    text = ", ".join(f"{start:.0f} s {similarity:+.3f}" for start, similarity in shown)
    return text if len(shown) == len(windows) else f"{text} (the highest of {len(windows)})"


def _beat(beat: dict[str, Any]) -> str:
    interval = f" (R-R {beat['rr_s']:.2f} s)" if beat["rr_s"] else ""
    return f"{beat['time_s']:.2f} s{interval} {beat['similarity']:+.3f}"


def _by_lead(values: dict[str, float | None], digits: str) -> str:
    return ", ".join(f"{lead} {value:{digits}}" for lead, value in values.items() if value is not None)
