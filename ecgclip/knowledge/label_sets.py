"""Label sets: what a benchmark or a user asks for by one name."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path, parse_yaml


def label_set_names() -> list[str]:
    """Return the names of the label sets that ship."""
    return sorted(f.stem for f in asset_path("prompts/label_sets").glob("*.yaml"))


def load_label_set(name: str) -> dict[str, Any]:
    """Read a label set.

    Parameters
    ----------
    name
        The name of a label set that ships, or the path of a .yaml file of your own.

    Returns
    -------
    dict
        `labels`: {label: concept id}; and, in sets that ship, `labels_en` and `labels_de`: {label: name}.

    Raises
    ------
    EcgclipError
        If there is none of that name, or the file is damaged.
    """
    import yaml

    path = _label_set_path(name)
    try:
        entry = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EcgclipError(f"{path}: cannot be read as a label set ({str(error).splitlines()[0]})") from None
    labels = entry.get("labels") if isinstance(entry, dict) else None
    if not _is_mapping_of_texts(labels):
        expected = "expected labels: {label: concept id}; quote numbers and yes/no"
        raise EcgclipError(f"{path}: not a label set ({expected})")
    return entry


def split_labels(text: str) -> list[str]:
    """Labels between commas; one that contains a comma stands in quotes. Raises EcgclipError if they are not closed."""
    if text.count('"') % 2:
        raise EcgclipError(f"--labels {text[:60]!r}: a quote is not closed; a label with a comma needs two")
    (row,) = csv.reader([" ".join(text.split())], skipinitialspace=True)
    return [label.strip() for label in row or [""]]


def _label_set_path(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    if name not in label_set_names():
        raise EcgclipError(f"no label set {name!r}; there are {', '.join(label_set_names()) or 'none'}")
    return asset_path(f"prompts/label_sets/{name}.yaml")


def _is_mapping_of_texts(labels: Any) -> bool:
    return (
        isinstance(labels, dict) and bool(labels) and all(isinstance(x, str) for pair in labels.items() for x in pair)
    )
