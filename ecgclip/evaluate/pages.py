"""Results as people read them: tables for the screen, a Markdown page and PNG figures beside results.json.

write_page(folder, results)  ─▶ folder/results.md, and where matplotlib is installed folder/auroc.png, reliability.png
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgclip.files import write_atomic

WORDS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "f1": "F1",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
MOST = 80  # labels in one figure
DPI = 200
INK, GREY = "#20507a", "#9a9a9a"


@dataclass(frozen=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def interval(value: Sequence[float] | None) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*value) if value else "–"


def signed(value: Sequence[float] | None) -> str:
    return "{:+.3f} ({:+.3f} to {:+.3f})".format(*value) if value else "–"


def write_page(folder: Path, results: dict[str, Any]) -> None:
    """Write results.md and its figures; a kind of results without tables has no page."""
    parts = tables(results)
    if not parts:
        return
    write_atomic(folder / "results.md", markdown(results, parts, figures(folder, results)))


def markdown(results: dict[str, Any], parts: Sequence[Table], pictures: Sequence[tuple[str, str]]) -> str:
    """parts: tables; pictures: file and caption → the page, at its foot what made it."""
    lines = [f"# {title(results)}", ""]
    if "bootstrap" in results:
        lines += [
            f"{results['records']} records. In brackets: 95 % intervals from {results['bootstrap']['resamples']} resamples by patient.",
            "",
        ]
    for table in parts:
        lines += [f"## {table.title}", "", _row(table.header), _row(["---"] * len(table.header))]
        lines += [*map(_row, table.rows), ""]
    for file, caption in pictures:
        lines += [f"![{caption}]({file})", "", f"*{caption}*", ""]
    known = ("weights_sha256", "data_sha256", "code_version", "command")
    for name, model in zip(("first", "second"), results.get("models", ()), strict=False):
        lines.append(f"- {name}: `{model['file']}`, weights_sha256 `{model['weights_sha256']}`")
    lines += [f"- {name}: `{results[name]}`" for name in known if results.get(name)]
    return "\n".join(lines) + "\n"


def title(results: dict[str, Any]) -> str:
    fold = results.get("fold")
    folds = ", ".join(map(str, fold)) if isinstance(fold, list | tuple) else fold
    parts = [results["task"], results.get("dataset"), results.get("label_set"), f"fold {folds}" if folds else None]
    return ", ".join(str(part) for part in parts if part)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def show(results: dict[str, Any]) -> None:
    """Print the tables."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Screen

    # names come from files and users: never markup
    console = Console(markup=False, emoji=False, highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(title(results), soft_wrap=True)
    for table in tables(results):
        screen = Screen(box=SIMPLE_HEAD, pad_edge=False, title=table.title, title_justify="left")
        for name, cells in zip(table.header, zip(*table.rows, strict=True), strict=True):
            screen.add_column(name, justify="right" if all(c[:1] in "0123456789+-–" for c in cells) else "left")
        for row in table.rows:
            screen.add_row(*row)
        console.print(screen)


# --- tables -----------------------------------------------------------------------------------------------------------


def tables(results: dict[str, Any]) -> list[Table]:
    makers = {"zeroshot": _zeroshot, "probe": _probe, "retrieval": _retrieval, "compare": _compare}
    make = makers.get(results["task"])
    return [table for table in make(results) if table.rows] if make else []


def _zeroshot(results: dict[str, Any]) -> Iterator[Table]:
    macro, chance, counted = (
        results["macro"],
        results["random_encoder"],
        [r for r in results["labels"] if r["in_macro"]],
    )
    yield Table(
        f"Macro over {len(counted)} labels with at least {results['least_positives']} positives",
        ("figure", "model", "same encoder, random weights"),
        [(words, interval(macro.get(key)), interval(chance.get(key))) for key, words in WORDS.items()],
    )
    yield Table(
        f"Labels; F1, sensitivity and specificity from probability {results['threshold']:g}",
        ("label", "named in training", "positives", *WORDS.values()),
        [
            (
                row["label"],
                {True: "yes", False: "no", None: "–"}[row["trained"]],
                f"{row['positives']} of {row['known']}",
                *(interval(row.get(key)) for key in WORDS),
            )
            for row in results["labels"]
        ],
    )
    bins = results["calibration"]
    yield Table(
        f"Calibration: ECE {interval(bins['ece'])}, Brier score {interval(bins['brier'])}",
        ("probability", "pairs", "mean probability", "observed"),
        [
            (
                f"{b['from']:.1f} to {b['to']:.1f}",
                str(b["pairs"]),
                f"{b['mean_probability']:.3f}",
                interval(b["observed"]),
            )
            for b in bins["bins"]
        ],
    )
    yield Table(
        "Subgroups: each over the labels with enough positives in it",
        ("by", "group", "records", "labels", "macro AUROC"),
        [
            (g["by"], g["group"], str(g["records"]), str(g["labels"]), interval(g["auroc"]))
            for g in results["subgroups"]
        ],
    )


def _probe(results: dict[str, Any]) -> Iterator[Table]:
    parts = results["shares"]
    yield Table(
        f"Linear probe, macro over {sum(r['in_macro'] for r in results['labels'])} labels",
        (
            "share",
            "training records",
            "draws",
            "AUROC",
            "lowest and highest draw",
            "AUROC, random weights",
            "average precision",
        ),
        [
            (
                f"{part['share']:.0%}",
                str(part["training_records"]),
                str(part["draws"]),
                interval(part["macro"]["auroc"]),
                "{:.3f} to {:.3f}".format(min(part["by_draw"]), max(part["by_draw"]))
                if part["macro"]["auroc"]
                else "–",
                interval(part["random_encoder"]["auroc"]),
                interval(part["macro"].get("average_precision")),
            )
            for part in parts
        ],
    )
    yield Table(
        "AUROC of each label, by share of the training records",
        ("label", "positives", *(f"{part['share']:.0%}" for part in parts)),
        [
            (rows[0]["label"], str(rows[0]["positives"]), *(interval(row["auroc"]) for row in rows))
            for rows in zip(*(part["labels"] for part in parts), strict=True)
        ],
    )


def _retrieval(results: dict[str, Any]) -> Iterator[Table]:
    directions = {"text_to_ecg": "text → ECG", "ecg_to_text": "ECG → text", "ecg_to_ecg": "ECG → ECG"}
    encoders = {"model": results, "random weights": results["random_encoder"]}
    recalls = ("recall_at_1", "recall_at_5", "recall_at_10")
    yield Table(
        "By the real reports; equal reports count as hits",
        ("direction", "encoder", "queries", *(key.replace("_", " ") for key in recalls), "median rank"),
        [
            (words, encoder, str(row["queries"]), *(interval(row[key]) for key in recalls), _rank(row["median_rank"]))
            for key, words in directions.items()
            for encoder, part in encoders.items()
            if (row := part[key])["queries"]
        ]
        + [
            (words, "chance", str(row["queries"]), *(f"{row[k + '_chance']:.3f}" for k in recalls), "–")
            for key, words in directions.items()
            if (row := results[key])["queries"]
        ],
    )
    yield Table(
        "Text → ECG by the language of the report that asks",
        ("language", "encoder", "queries", *(key.replace("_", " ") for key in recalls), "median rank"),
        [
            (
                language,
                encoder,
                str(row["queries"]),
                *(interval(row[key]) for key in recalls),
                _rank(row["median_rank"]),
            )
            for language in results["text_to_ecg"]["by_language"]
            for encoder, part in encoders.items()
            for row in [part["text_to_ecg"]["by_language"][language]]
        ],
    )
    yield Table(
        "Precision at 10 by shared statements",
        ("query", "model", "random weights", "chance", "best possible"),
        [
            (
                words,
                *(interval(part[key][figure]) for part in encoders.values()),
                *(f"{results[key][k]:.3f}" for k in ("chance", "best")),
            )
            for words, key, figure in (
                ("condition, by the knowledge base in either language", "text_to_ecg", "precision_at_10"),
                ("English name, bare", "text_to_ecg", "bare_en"),
                ("German name, bare", "text_to_ecg", "bare_de"),
                ("ECG", "ecg_to_ecg", "precision_at_10"),
            )
            if figure in results[key]
        ],
    )
    yield Table(
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


def _rank(value: Sequence[float]) -> str:
    return "{:.0f} ({:.0f} to {:.0f})".format(*value)


def _compare(results: dict[str, Any]) -> Iterator[Table]:
    figures = [key for key in WORDS if key in results["difference"]]
    first, second = (model["macro"] for model in results["models"])
    yield Table(
        "Macro, and the second model less the first",
        ("figure", "first", "second", "difference"),
        [
            (WORDS[key], interval(first.get(key)), interval(second.get(key)), signed(results["difference"][key]))
            for key in figures
        ],
    )
    yield Table(
        "Difference of each label",
        ("label", "positives", *(WORDS[key] for key in figures)),
        [
            (row["label"], str(row["positives"]), *(signed(row.get(key)) for key in figures))
            for row in results["labels"]
        ],
    )


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(folder: Path, results: dict[str, Any]) -> list[tuple[str, str]]:
    """Draw what there is to draw into `folder` → (file, caption) of each."""
    rows = [row for row in results.get("labels", ()) if row.get("in_macro") and row.get("auroc")]
    if not rows:
        return []
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        print('note: no figures: they need matplotlib (pip install "ecgclip[plot]")', file=sys.stderr)
        return []
    paired = results["task"] == "compare"
    what = "AUROC, second model less first" if paired else "AUROC"
    _dots(folder / "auroc.png", rows, what, 0.0 if paired else 0.5)
    drawn = [("auroc.png", f"{what}, of each label with its 95 % interval")]
    if "calibration" in results:
        _reliability(folder / "reliability.png", results["calibration"])
        drawn.append(
            ("reliability.png", "Reliability: observed share against predicted probability, with 95 % intervals")
        )
    return drawn


def _dots(path: Path, rows: Sequence[dict[str, Any]], what: str, nothing: float) -> None:
    """One dot a label, best on top, with its interval; a dashed line at the value that means nothing."""
    rows = sorted(rows, key=lambda row: row["auroc"][0])[-MOST:]
    figure, axes = _axes(6.0, 1.0 + 0.2 * len(rows))
    for i, row in enumerate(rows):
        value, low, high = row["auroc"]
        axes.plot([low, high], [i, i], color=INK, linewidth=1.2)
        axes.plot(value, i, "o", color=INK, markersize=4)
    axes.axvline(nothing, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(rows)), [f"{row['label']} ({row['positives']})" for row in rows], fontsize=8)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel(f"{what} (positives in brackets)", fontsize=8)
    _save(figure, path)


def _reliability(path: Path, calibrated: dict[str, Any]) -> None:
    figure, axes = _axes(4.0, 4.0)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
    for b in calibrated["bins"]:
        value, low, high = b["observed"]
        axes.plot([b["mean_probability"]] * 2, [low, high], color=INK, linewidth=1.2)
        axes.plot(b["mean_probability"], value, "o", color=INK, markersize=4)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel("predicted probability", fontsize=8)
    axes.set_ylabel("observed share", fontsize=8)
    axes.set_title(f"ECE {calibrated['ece'][0]:.3f}, Brier score {calibrated['brier'][0]:.3f}", fontsize=8)
    _save(figure, path)


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """Width and height in inches; drawn without pyplot, which would look for a display."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_atomic(path, picture.getvalue())
