"""Where the files of a model lie: a folder, the shipped weights, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from pathlib import Path

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path, file_sha256

DEFAULT_WEIGHTS = "weights"
FILES = ("config.json", "model.safetensors", "vectors.safetensors")
DOWNLOADED = ["*.json", "*.safetensors", "*.model", "*.txt", "tokenizer/*"]  # never *.bin or *.pt, which are pickles


def weights_folder(name: str | Path | None) -> Path:
    """Return the folder with a model's files; see `load_model`.

    Raises
    ------
    EcgclipError
        There is no model, and the name is not a Hugging Face repo id that can be downloaded.
    """
    if name is None:
        return asset_path(DEFAULT_WEIGHTS)
    folder = Path(name)
    if folder.is_dir():
        if missing := [f for f in FILES if not (folder / f).exists()]:
            raise EcgclipError(f"{folder}: no model here ({', '.join(missing)} missing){_models_in(folder, name)}")
        return folder
    # owner/name, unless `owner` is a folder: then a path was mistyped, and nothing is downloaded
    if folder.parent.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        raise EcgclipError(
            f"{name}: neither a folder with a model nor a Hugging Face repo id (owner/name)"
            f"{_models_in(folder.parent, name)}"
        )
    return _downloaded(str(name))


def _downloaded(repo_id: str) -> Path:
    from huggingface_hub import snapshot_download

    print(f"note: {repo_id} is not a folder here: downloading it from the Hugging Face hub", file=sys.stderr)
    try:
        return Path(snapshot_download(repo_id, allow_patterns=DOWNLOADED))
    except Exception as error:  # whatever the hub's client raises, the user needs one line
        problem = str(error).splitlines()[0][:100]
        raise EcgclipError(f"{repo_id}: could not be downloaded from the Hugging Face hub ({problem})") from None


def _models_in(folder: Path, name: str | Path) -> str:
    """The end of an error: models in a folder, those with the most similar names first."""
    if folder == Path():
        return ""
    models = [str(f.parent) for below in ("*", "*/*") for f in folder.glob(f"{below}/{FILES[1]}")]
    similar = get_close_matches(str(name), models, n=3, cutoff=0)
    return f"; there is {' and '.join(similar)}" if similar else ""


def weights_hash(folder: str | Path | None = None) -> str:
    """Return the SHA-256 of model.safetensors, by which results and indexes name the weights.

    folder : see `load_model`
    """
    return file_sha256(weights_folder(folder) / "model.safetensors")
