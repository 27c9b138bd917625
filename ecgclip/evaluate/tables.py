"""Results as tables of text, for the screen and for the page. Entry point: `tables`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

FIGURE_NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
DIRECTIONS = {"text_to_ecg": "text → ECG", "ecg_to_text": "ECG → text", "ecg_to_ecg": "ECG → ECG"}
RECALLS = ("recall_at_1", "recall_at_5", "recall_at_10")
PRECISIONS = (
    ("condition, by the knowledge base in either language", "text_to_ecg", "precision_at_10"),
    ("English name, bare", "text_to_ecg", "bare_en"),
    ("German name, bare", "text_to_ecg", "bare_de"),
    ("ECG", "ecg_to_ecg", "precision_at_10"),
)


@dataclass(frozen=True)
class Table:
    """A table of text cells; every row is as long as the header."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(results: dict[str, Any]) -> list[Table]:
    """The tables of a results.json, without empty ones; none for a task that has no page."""
    makers = {"zeroshot": _zeroshot, "probe": _probe, "retrieval": _retrieval, "compare": _compare}
    make = makers.get(results["task"])
    return [table for table in make(results) if table.rows] if make else []


def interval(value: Sequence[float] | None) -> str:
    """[value, low, high] as text; "–" for None."""
    return "{:.3f} ({:.3f} to {:.3f})".format(*value) if value else "–"


def signed(value: Sequence[float] | None) -> str:
    """As `interval`, with signs."""
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*value) if value else "–"


# --- zeroshot ---------------------------------------------------------------------------------------------------------


def _zeroshot(results: dict[str, Any]) -> Iterator[Table]:
    yield _macro_table(results)
    yield _label_table(results)
    yield _calibration_table(results["calibration"])
    yield _group_table("Groups: macro AUROC over the labels with enough positives in each", results["subgroups"])
    yield _group_table("Worst groups, by how far the same labels are below the other groups", results["worst_groups"])


def _group_table(title: str, groups: list[dict[str, Any]]) -> Table:
    return Table(
        title,
        ("by", "group", "records", "labels", "macro AUROC", "labels compared", "below the other groups"),
        [
            (
                *(str(g[key]) for key in ("by", "group", "records", "labels")),
                interval(g["auroc"]),
                str(g["compared"]),
                signed(g["gap"]),
            )
            for g in groups
        ],
    )


def _macro_table(results: dict[str, Any]) -> Table:
    macro, random = results["macro"], results["random_encoder"]
    labels = sum(row["in_macro"] for row in results["labels"])
    return Table(
        f"Macro over {labels} labels with at least {results['least_positives']} positives",
        ("figure", "model", "same encoder, random weights"),
        [(words, interval(macro.get(key)), interval(random.get(key))) for key, words in FIGURE_NAMES.items()],
    )


def _label_table(results: dict[str, Any]) -> Table:
    yes_or_no = {True: "yes", False: "no", None: "–"}
    return Table(
        f"Labels; F1, sensitivity and specificity from probability {results['threshold']:g}",
        ("label", "named in training", "positives", *FIGURE_NAMES.values()),
        [
            (
                row["label"],
                yes_or_no[row["trained"]],
                f"{row['positives']} of {row['known']}",
                *(interval(row.get(key)) for key in FIGURE_NAMES),
            )
            for row in results["labels"]
        ],
    )


def _calibration_table(calibration: dict[str, Any]) -> Table:
    return Table(
        f"Calibration: ECE {interval(calibration['ece'])}, Brier score {interval(calibration['brier'])}",
        ("probability", "pairs", "mean probability", "observed"),
        [
            (
                f"{b['from']:.1f} to {b['to']:.1f}",
                str(b["pairs"]),
                f"{b['mean_probability']:.3f}",
                interval(b["observed"]),
            )
            for b in calibration["bins"]
        ],
    )


# --- probe ------------------------------------------------------------------------------------------------------------


def _probe(results: dict[str, Any]) -> Iterator[Table]:
    shares = results["shares"]
    yield Table(
        f"Linear probe, macro over {sum(row['in_macro'] for row in results['labels'])} labels",
        (
            "share",
            "training records",
            "draws",
            "AUROC",
            "lowest and highest draw",
            "AUROC, random weights",
            "average precision",
        ),
        [_share_row(share) for share in shares],
    )
    yield Table(
        "AUROC of each label, by share of the training records",
        ("label", "positives", *(f"{share['share']:.0%}" for share in shares)),
        [
            (rows[0]["label"], str(rows[0]["positives"]), *(interval(row["auroc"]) for row in rows))
            for rows in zip(*(share["labels"] for share in shares), strict=True)
        ],
    )


def _share_row(share: dict[str, Any]) -> tuple[str, ...]:
    macro, draws = share["macro"], share["by_draw"]
    return (
        f"{share['share']:.0%}",
        str(share["training_records"]),
        str(share["draws"]),
        interval(macro["auroc"]),
        f"{min(draws):.3f} to {max(draws):.3f}" if macro["auroc"] else "–",
        interval(share["random_encoder"]["auroc"]),
        interval(macro.get("average_precision")),
    )


# --- retrieval --------------------------------------------------------------------------------------------------------


def _retrieval(results: dict[str, Any]) -> Iterator[Table]:
    encoders = {"model": results, "random weights": results["random_encoder"]}
    recall_header = ("queries", *(key.replace("_", " ") for key in RECALLS), "median rank")
    yield Table(
        "By the real reports; equal reports count as hits",
        ("direction", "encoder", *recall_header),
        [
            (DIRECTIONS[key], encoder, *_recall_cells(part[key]))
            for key in DIRECTIONS
            for encoder, part in encoders.items()
            if part[key]["queries"]
        ]
        + [(DIRECTIONS[key], "chance", *_chance_cells(results[key])) for key in DIRECTIONS if results[key]["queries"]],
    )
    yield Table(
        "Text → ECG by the language of the report that asks",
        ("language", "encoder", *recall_header),
        [
            (language, encoder, *_recall_cells(part["text_to_ecg"]["by_language"][language]))
            for language in results["text_to_ecg"]["by_language"]
            for encoder, part in encoders.items()
        ],
    )
    yield Table(
        "Precision at 10 by shared statements",
        ("query", "model", "random weights", "chance", "best possible"),
        [
            (
                words,
                *(interval(part[direction][figure]) for part in encoders.values()),
                *(f"{results[direction][key]:.3f}" for key in ("chance", "best")),
            )
            for words, direction, figure in PRECISIONS
            if figure in results[direction]
        ],
    )
    yield _condition_table(results)


def _recall_cells(row: dict[str, Any]) -> tuple[str, ...]:
    median = "{:.0f} ({:.0f} to {:.0f})".format(*row["median_rank"])
    return (str(row["queries"]), *(interval(row[key]) for key in RECALLS), median)


def _chance_cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (str(row["queries"]), *(f"{row[key + '_chance']:.3f}" for key in RECALLS), "–")


def _condition_table(results: dict[str, Any]) -> Table:
    return Table(
        "Precision at 10 of each condition",
        ("condition", "positives", "by the knowledge base", "English, bare", "German, bare", "chance", "best possible"),
        [
            (
                row["label"],
                str(row["positives"]),
                *(interval(row[key]) for key in ("precision_at_10", "bare_en", "bare_de")),
                f"{row['chance']:.3f}",
                f"{row['best']:.3f}",
            )
            for row in results["labels"]
        ],
    )


# --- compare ----------------------------------------------------------------------------------------------------------


def _compare(results: dict[str, Any]) -> Iterator[Table]:
    difference = results["difference"]
    figures = [key for key in FIGURE_NAMES if key in difference]
    first, second = (model["macro"] for model in results["models"])
    yield Table(
        "Macro, and the second model less the first",
        ("figure", "first", "second", "difference"),
        [
            (FIGURE_NAMES[key], interval(first.get(key)), interval(second.get(key)), signed(difference[key]))
            for key in figures
        ],
    )
    yield Table(
        "Difference of each label",
        ("label", "positives", *(FIGURE_NAMES[key] for key in figures)),
        [
            (row["label"], str(row["positives"]), *(signed(row.get(key)) for key in figures))
            for row in results["labels"]
        ],
    )
