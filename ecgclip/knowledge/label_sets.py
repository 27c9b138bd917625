"""Label sets: what a benchmark or a user asks for by one name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path


def label_set_names() -> list[str]:
    """What `load_label_set` knows by name."""
    return sorted(f.stem for f in asset_path("prompts/label_sets").glob("*.yaml"))


def load_label_set(name: str) -> dict[str, Any]:
    """A label set by its name, or the YAML file of one's own, as a dict.

    labels: {code: concept id}; labels_en, labels_de: {code: name} where it has them.
    Raises EcgclipError where there is none of that name, or it is damaged.
    """
    import yaml

    own = name.endswith((".yaml", ".yml"))
    if not own and name not in label_set_names():
        raise EcgclipError(f"no label set {name!r}; there are {', '.join(label_set_names()) or 'none'}")
    path = Path(name) if own else asset_path(f"prompts/label_sets/{name}.yaml")
    try:
        entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise EcgclipError(f"{path}: cannot be read as a label set ({str(error).splitlines()[0]})") from None
    labels = entry.get("labels") if isinstance(entry, dict) else None
    if (
        not isinstance(labels, dict)
        or not labels
        or not all(isinstance(t, str) for pair in labels.items() for t in pair)
    ):
        raise EcgclipError(
            f"{path}: not a label set (expected labels: {{label: concept id}}; quote numbers and yes/no)"
        )
    return entry
