"""The commands eval: measure a model on a data set. Each writes DIR/results.json and prints its tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ecgclip.cli.app import eval_app
from ecgclip.cli.inputs import check_folder, parse_folds, parse_shares
from ecgclip.cli.options import (
    DataPath,
    DataSet,
    Device,
    Fold,
    LabelledOnly,
    LabelSet,
    MinPositives,
    Model,
    OutputFolder,
)


@eval_app.command()
def zeroshot(
    path: DataPath,
    dataset: DataSet,
    label_set: LabelSet,
    output: OutputFolder,
    fold: Fold = None,
    naming: Annotated[
        str,
        typer.Option(
            "--naming",
            "--language",
            metavar="code|en|de",
            help="How the labels are named: by code, or in English or German.",
        ),
    ] = "code",
    no_enrich: Annotated[bool, typer.Option("--no-enrich", help="Ask with the bare label.")] = False,
    leads: Annotated[str | None, typer.Option(metavar="I,II", help="Show the model only these leads.")] = None,
    min_positives: MinPositives = 5,
    labelled_only: LabelledOnly = False,
    model: Model = None,
    device: Device = "cpu",
) -> None:
    """Zero-shot scores of each label and their mean, with 95 % intervals, into DIR: results.json, .md and figures.

    \b
    Example:
      ecgclip eval zeroshot --dataset ptb-xl ~/ecg/ptb-xl --label-set superclass --fold 10 -o results/super
    """
    from ecgclip.evaluate.pages import show
    from ecgclip.evaluate.zeroshot import zeroshot as run

    options: dict[str, Any] = {
        "fold": parse_folds(fold),
        "naming": naming,
        "enrich": not no_enrich,
        "leads": [lead.strip() for lead in leads.split(",")] if leads else None,
        "min_positives": min_positives,
        "labelled": labelled_only,
        "weights": model,
        "device": device,
    }
    show(run(dataset, check_folder(path), label_set, output, **options))


@eval_app.command()
def probe(
    path: DataPath,
    dataset: DataSet,
    label_set: LabelSet,
    output: OutputFolder,
    fold: Fold = None,
    shares: Annotated[str, typer.Option(metavar="P,P", help="Percentages of the training records.")] = "1,10,100",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="How often each share is drawn.")] = 3,
    min_positives: MinPositives = 5,
    labelled_only: LabelledOnly = False,
    model: Model = None,
    device: Device = "cpu",
) -> None:
    """A linear probe on the frozen vectors with 1, 10 and 100 % of the training labels, tested on other patients.

    \b
    Example:
      ecgclip eval probe --dataset ptb-xl ~/ecg/ptb-xl --label-set superclass --fold 10 --seeds 5 -o results/probe
    """
    from ecgclip.evaluate.pages import show
    from ecgclip.evaluate.probe import probe as run

    options: dict[str, Any] = {
        "fold": parse_folds(fold),
        "shares": parse_shares(shares),
        "seeds": seeds,
        "min_positives": min_positives,
        "labelled": labelled_only,
        "weights": model,
        "device": device,
    }
    show(run(dataset, check_folder(path), label_set, output, **options))


@eval_app.command()
def retrieval(
    path: DataPath,
    dataset: DataSet,
    output: OutputFolder,
    fold: Fold = None,
    min_positives: Annotated[
        int, typer.Option("--least", metavar="N", min=1, help="Positives that a condition needs to be asked for.")
    ] = 10,
    model: Model = None,
    device: Device = "cpu",
) -> None:
    """Search the test records: text to ECG, ECG to text, ECG to ECG, by their reports and by shared statements.

    \b
    Example:
      ecgclip eval retrieval --dataset ptb-xl ~/ecg/ptb-xl --fold 10 -o results/retrieval
    """
    from ecgclip.evaluate.pages import show
    from ecgclip.evaluate.retrieval import retrieval as run

    show(
        run(
            dataset,
            check_folder(path),
            output,
            fold=parse_folds(fold),
            min_positives=min_positives,
            weights=model,
            device=device,
        )
    )


@eval_app.command()
def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="A results.json of `eval zeroshot` or `eval probe`.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another, on the same records and labels.")],
    output: OutputFolder,
) -> None:
    """B minus A, paired on the same resamples: the difference of each label and of the mean, with 95 % intervals.

    \b
    Example:
      ecgclip eval compare results/mine/results.json results/theirs/results.json -o results/difference
    """
    from ecgclip.evaluate.compare import compare as run
    from ecgclip.evaluate.pages import show

    show(run(one, other, output))


@eval_app.command()
def robustness(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of PTB-XL.")],
    label_set: Annotated[str, typer.Option(metavar="NAME", help="Such as ptb-xl-super.")],
    output: OutputFolder,
    fold: Annotated[int, typer.Option(metavar="N", help="Fold to test on.")] = 9,
    model: Model = None,
    device: Device = "cpu",
) -> None:
    """How much scores change with fewer leads, another gain or a shift, into DIR/results.json.

    \b
    Example:
      ecgclip eval robustness ~/ecg/ptb-xl --label-set ptb-xl-super --fold 9 -o results/robustness
    """
    from ecgclip.evaluate.robustness import robustness as run
    from ecgclip.evaluate.tables import interval

    for row in run(check_folder(path), label_set, output, fold=fold, weights=model, device=device)["changes"]:
        change = row.get("mean_probability_change", 0)
        typer.echo(f"{row['change']:<20} AUROC {interval(row['auroc'])}, mean change {change:.3f}")


@eval_app.command("describe")
def describe(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the data set.")],
    dataset: Annotated[str, typer.Option(metavar="NAME", help="ptb-xl.")],
    fold: Annotated[int, typer.Option(metavar="N", help="Fold to test on; the baseline uses the training folds.")],
    output: OutputFolder,
    min_positives: Annotated[
        int, typer.Option("--least", metavar="N", min=1, help="Positives that a statement needs for the macro average.")
    ] = 5,
    model: Model = None,
    device: Device = "cpu",
) -> None:
    """Precision and recall of a description's statements, beside the nearest ECG's annotation, into DIR/results.json.

    \b
    Example:
      ecgclip eval describe --dataset ptb-xl ~/ecg/ptb-xl --fold 9 -o results/describe
    """
    from ecgclip.evaluate.description import description as run

    results = run(
        dataset, check_folder(path), output, fold=fold, min_positives=min_positives, weights=model, device=device
    )
    for line in _description_lines(results):
        typer.echo(line)


def _description_lines(results: dict[str, Any]) -> Iterator[str]:
    """A line for each statement that is annotated or predicted, then the means of each method."""
    from ecgclip.evaluate.tables import interval

    for row in results["statements"]:
        ours = row["description"]
        if row["positives"] or ours["predicted"]:
            yield (
                f"{row['concept']:<44} {row['positives']:>4} positives, {ours['predicted']:>4} predicted, "
                f"precision {ours['precision']:.3f}, recall {ours['recall']:.3f}"
            )
    for name, method in results["methods"].items():
        for mean in ("micro", "macro"):
            values = [f"{key} {interval(value)}" for key, value in (method[mean] or {}).items()]
            yield f"{name:<11} {mean}: " + (", ".join(values) or "no statement has enough positives")
