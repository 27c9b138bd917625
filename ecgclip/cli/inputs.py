"""Values of options, checked and parsed. Each function raises EcgclipError for a value that makes no sense."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgclip.ecg import EcgclipError

if TYPE_CHECKING:
    from ecgclip.train import Recipe


def check_format(format: str, formats: Sequence[str]) -> None:
    """Accept one of `formats` only."""
    if format not in formats:
        raise EcgclipError(f"unknown --format {format!r}: {', '.join(formats)}")


def check_folder(path: Path) -> Path:
    """Return `path` if it is a folder."""
    if not path.is_dir():
        raise EcgclipError(f"{path}: no such folder")
    return path


def choose_labels(
    labels: str | None, labels_file: Path | None, label_set: str | None
) -> tuple[list[str] | None, dict[str, str] | None]:
    """The labels of --labels, --labels-file or --label-set, of which one may be given.

    Returns
    -------
    labels : None without any of the three: all conditions that the model was trained on
    concepts : label → id in the knowledge base, where a label set defines it
    """
    if sum(option is not None for option in (labels, labels_file, label_set)) > 1:
        raise EcgclipError("give one of --labels, --labels-file and --label-set")
    if label_set is not None:
        from ecgclip.knowledge import load_label_set

        concepts = load_label_set(label_set)["labels"]
        return list(concepts), concepts
    if labels is not None:
        from ecgclip.knowledge.label_sets import split_labels

        return split_labels(labels), None
    return (_read_labels(labels_file) if labels_file is not None else None), None


def _read_labels(file: Path) -> list[str]:
    """One label a line, without empty lines and comments."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise EcgclipError(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EcgclipError(f"{file}: not a text file in UTF-8") from None
    labels = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not labels:
        raise EcgclipError(f"{file}: no labels in it (one label a line)")
    return labels


def load_recipe(name: str) -> Recipe:
    """Load a recipe from a YAML file, or a shipped one by its name."""
    from ecgclip.files import asset_path
    from ecgclip.train import Recipe

    if Path(name).is_file():
        return Recipe.load(name)
    shipped = sorted(file.stem for file in asset_path("recipes").glob("*.yaml"))
    if name not in shipped:
        raise EcgclipError(f"no recipe {name!r}: give a YAML file, or one of {', '.join(shipped)}")
    return Recipe.load(asset_path(f"recipes/{name}.yaml"))


def parse_folds(text: str | None) -> int | list[int] | None:
    """ "9" → 9, "9,10" → [9, 10]."""
    if text is None:
        return None
    try:
        folds = [int(fold) for fold in text.split(",")]
    except ValueError:
        raise EcgclipError(f"--fold {text!r}: give numbers, such as 10 or 9,10") from None
    return folds[0] if len(folds) == 1 else folds


def parse_shares(text: str) -> list[float]:
    """Percentages, "1,10,100" → [0.01, 0.1, 1.0]."""
    try:
        return [float(share) / 100 for share in text.split(",")]
    except ValueError:
        raise EcgclipError(f"--shares {text!r}: give percentages, such as 1,10,100") from None
