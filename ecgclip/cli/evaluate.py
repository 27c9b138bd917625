"""eval."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ecgclip.cli.app import evaluate
from ecgclip.cli.options import DataPath, DataSet, Fold, LabelledOnly, LabelSet, Least, Model, Out, _folder, _folds
from ecgclip.cli.output import _interval
from ecgclip.ecg import EcgclipError


@evaluate.command()
def zeroshot(
    path: DataPath,
    dataset: DataSet,
    label_set: LabelSet,
    output: Out,
    fold: Fold = None,
    naming: Annotated[
        str, typer.Option("--naming", "--language", metavar="code|en|de", help="What is typed for a label.")
    ] = "code",
    no_enrich: Annotated[bool, typer.Option("--no-enrich", help="Ask with the bare label.")] = False,
    leads: Annotated[str | None, typer.Option(metavar="I,II", help="Show the model only these.")] = None,
    least: Least = 5,
    labelled_only: LabelledOnly = False,
    model: Model = None,
) -> None:
    """Zero-shot scores of each label and their mean, with 95 % intervals, into DIR: results.json, .md and figures.

    \b
    Example:
      ecgclip eval zeroshot --dataset ptb-xl ~/ecg/ptb-xl --label-set superclass --fold 10 -o results/super
    """
    from ecgclip.evaluate.pages import show
    from ecgclip.evaluate.zeroshot import zeroshot

    chosen = [lead.strip() for lead in leads.split(",")] if leads else None
    show(
        zeroshot(
            dataset,
            _folder(path),
            label_set,
            output,
            fold=_folds(fold),
            naming=naming,
            enrich=not no_enrich,
            leads=chosen,
            least=least,
            labelled=labelled_only,
            weights=model,
        )
    )


@evaluate.command()
def probe(
    path: DataPath,
    dataset: DataSet,
    label_set: LabelSet,
    output: Out,
    fold: Fold = None,
    shares: Annotated[str, typer.Option(metavar="P,P", help="Per cent of the training records.")] = "1,10,100",
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Times that a share is drawn.")] = 3,
    least: Least = 5,
    labelled_only: LabelledOnly = False,
    model: Model = None,
) -> None:
    """A linear probe on the frozen vectors with 1, 10 and 100 % of the training labels, tested on other patients.

    \b
    Example:
      ecgclip eval probe --dataset ptb-xl ~/ecg/ptb-xl --label-set superclass --fold 10 --seeds 5 -o results/probe
    """
    from ecgclip.evaluate.pages import show
    from ecgclip.evaluate.probe import probe as run

    try:
        parts = [float(share) / 100 for share in shares.split(",")]
    except ValueError:
        raise EcgclipError(f"--shares {shares!r}: give per cents, such as 1,10,100") from None
    options: dict[str, Any] = {"fold": _folds(fold), "shares": parts, "seeds": seeds, "least": least}
    show(run(dataset, _folder(path), label_set, output, **options, labelled=labelled_only, weights=model))


@evaluate.command()
def retrieval(
    path: DataPath,
    dataset: DataSet,
    output: Out,
    fold: Fold = None,
    least: Annotated[
        int, typer.Option(metavar="N", min=1, help="Positives that a condition needs to be asked for.")
    ] = 10,
    model: Model = None,
) -> None:
    """Search the test records: text to ECG, ECG to text, ECG to ECG, by their reports and by shared statements.

    \b
    Example:
      ecgclip eval retrieval --dataset ptb-xl ~/ecg/ptb-xl --fold 10 -o results/retrieval
    """
    from ecgclip.evaluate.pages import show
    from ecgclip.evaluate.retrieval import retrieval as run

    show(run(dataset, _folder(path), output, fold=_folds(fold), least=least, weights=model))


@evaluate.command()
def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="A results.json of `eval zeroshot` or `eval probe`.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another, on the same records and labels.")],
    output: Out,
) -> None:
    """B less A, in pairs on the same resamples: the difference of each label and of the mean, with 95 % intervals.

    \b
    Example:
      ecgclip eval compare results/mine/results.json results/theirs/results.json -o results/difference
    """
    from ecgclip.evaluate.compare import compare
    from ecgclip.evaluate.pages import show

    show(compare(one, other, output))


@evaluate.command()
def robustness(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of PTB-XL.")],
    label_set: Annotated[str, typer.Option(metavar="NAME")],
    output: Out,
    fold: Annotated[int, typer.Option(metavar="N")] = 9,
    model: Model = None,
) -> None:
    """How much scores change with fewer leads, another gain or a shift, into DIR/results.json.

    \b
    Example:
      ecgclip eval robustness ~/ecg/ptb-xl --label-set ptb-xl-super --fold 9 -o results/robustness
    """
    from ecgclip.evaluate.robustness import robustness

    for row in robustness(_folder(path), label_set, output, fold=fold, weights=model)["changes"]:
        typer.echo(
            f"{row['change']:<20} AUROC {_interval(row['auroc'])}, mean change {row.get('mean_probability_change', 0):.3f}"
        )


@evaluate.command("describe")
def evaluate_describe(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the data set.")],
    dataset: Annotated[str, typer.Option(metavar="NAME", help="ptb-xl.")],
    fold: Annotated[int, typer.Option(metavar="N", help="To test on; the training folds are the baseline's.")],
    output: Out,
    least: Annotated[
        int, typer.Option(metavar="N", min=1, help="Positives that a statement needs for the macro average.")
    ] = 5,
    model: Model = None,
) -> None:
    """Precision and recall of a description's statements, beside the nearest ECG's annotation, into DIR/results.json.

    \b
    Example:
      ecgclip eval describe --dataset ptb-xl ~/ecg/ptb-xl --fold 9 -o results/describe
    """
    from ecgclip.evaluate.description import description

    results = description(dataset, _folder(path), output, fold=fold, least=least, weights=model)
    for row in results["statements"]:
        if row["positives"] or row["description"]["predicted"]:
            ours = row["description"]
            typer.echo(
                f"{row['concept']:<44} {row['positives']:>4} positives, {ours['predicted']:>4} said, "
                f"precision {ours['precision']:.3f}, recall {ours['recall']:.3f}"
            )
    for name, method in results["methods"].items():
        for mean in ("micro", "macro"):
            values = [f"{k} {_interval(v)}" for k, v in (method[mean] or {}).items()]
            typer.echo(f"{name:<11} {mean}: " + (", ".join(values) or "no statement has enough positives"))
