"""Arguments and options that commands share."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgclip.ecg import EcgclipError

if TYPE_CHECKING:
    from ecgclip.train.recipe import Recipe

FORMATS = ("table", "json", "csv")
NEIGHBOURS = 10  # cases of an index beside an explanation
TOP = 10  # concepts shown where no labels are given
Model = Annotated[
    str | None, typer.Option(metavar="M", help="Folder or Hugging Face repo id; default: the shipped weights.")
]
Knowledge = Annotated[Path | None, typer.Option(metavar="DIR", help="A knowledge base of one's own.")]
Records = Annotated[list[str], typer.Argument(metavar="RECORD", help="WFDB header (.hea or without), folder, or glob.")]
Out = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="Folder that holds the recipe's data sets.")]
Index = Annotated[Path, typer.Option("--index", metavar="DIR", help="What `ecgclip index build` made.")]
Format = Annotated[str, typer.Option(metavar="|".join(FORMATS), help="What to print.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead; whole or not at all.")
]
Neighbours = Annotated[int, typer.Option("-k", metavar="K", min=1, help="How many.")]
Where = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="Only those, such as \"age > 60 and sex = 'F'\"; checked before the ranking."),
]
Picture = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Also draw what was found.")]
Threads = Annotated[int | None, typer.Option(metavar="N", min=1, help="CPU threads; default: torch's choice.")]
DataPath = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the data set.")]
DataSet = Annotated[str, typer.Option(metavar="NAME", help="ptb-xl, challenge-2020, challenge-2017 …")]
LabelSet = Annotated[
    str, typer.Option(metavar="NAME", help="Such as ptb-xl-super; annotated: all that the data set names.")
]
Fold = Annotated[
    str | None,
    typer.Option(metavar="N[,N]", help="Of PTB-XL, by default the published 10; of mitdb 1 or 2 (DS1, DS2)."),
]
Least = Annotated[int, typer.Option(metavar="N", min=1, help="Positives that a label needs for the macro average.")]
LabelledOnly = Annotated[
    bool, typer.Option("--labelled-only", help="Without records that have no label of the set, as PTB-XL's benchmarks.")
]
RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped one: default.")
]


def _labels(
    labels: str | None, labels_file: Path | None, label_set: str | None
) -> tuple[list[str] | None, dict[str, str] | None]:
    """The labels asked for (None: all that training had) and the concepts that a label set fixes them to."""
    if sum(x is not None for x in (labels, labels_file, label_set)) > 1:
        raise EcgclipError("give one of --labels, --labels-file and --label-set")
    if label_set is not None:
        from ecgclip.knowledge.label_sets import load_label_set

        concepts = load_label_set(label_set)["labels"]
        return list(concepts), concepts
    if labels is not None:
        if labels.count('"') % 2:
            raise EcgclipError(
                f"--labels {labels[:60]!r}: a quote is not closed; a label that has a comma stands in two"
            )
        (row,) = csv.reader([" ".join(labels.split())], skipinitialspace=True)
        return [label.strip() for label in row or [""]], None
    if labels_file is None:
        return None, None
    try:
        lines = labels_file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise EcgclipError(f"{labels_file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EcgclipError(f"{labels_file}: not a text file in UTF-8") from None
    chosen = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not chosen:
        raise EcgclipError(f"{labels_file}: no labels in it (a label a line)")
    return chosen, None


def _known(format: str) -> None:
    if format not in FORMATS:
        raise EcgclipError(f"unknown --format {format!r}: {', '.join(FORMATS)}")


def _recipe(name: str) -> Recipe:
    from ecgclip.files import asset_path
    from ecgclip.train.recipe import Recipe

    if Path(name).is_file():
        return Recipe.load(name)
    shipped = sorted(f.stem for f in asset_path("recipes").glob("*.yaml"))
    if name not in shipped:
        raise EcgclipError(f"no recipe {name!r}: give a YAML file, or one of {', '.join(shipped)}")
    return Recipe.load(asset_path(f"recipes/{name}.yaml"))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise EcgclipError(f"{path}: no such folder")
    return path


def _folds(text: str | None) -> int | list[int] | None:
    """ "9" or "9,10" as numbers."""
    if text is None:
        return None
    try:
        folds = [int(fold) for fold in text.split(",")]
    except ValueError:
        raise EcgclipError(f"--fold {text!r}: give numbers, such as 10 or 9,10") from None
    return folds[0] if len(folds) == 1 else folds
