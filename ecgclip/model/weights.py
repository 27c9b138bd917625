"""Where a model's files lie."""

from __future__ import annotations

import re
import sys
from difflib import get_close_matches
from pathlib import Path

from ecgclip.ecg import EcgclipError
from ecgclip.files import asset_path, file_sha256

DEFAULT_WEIGHTS = "weights"
FILES = ("config.json", "model.safetensors", "vectors.safetensors")


def _weights_folder(name: str | Path | None) -> Path:
    if name is None:
        return asset_path(DEFAULT_WEIGHTS)
    folder = Path(name)
    if folder.is_dir():
        if missing := [f for f in FILES if not (folder / f).exists()]:
            raise EcgclipError(f"{folder}: no model here ({', '.join(missing)} missing){_models_in(folder, name)}")
        return folder
    if folder.parent.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        # where `owner` is a folder, a mistyped path is meant: nothing is fetched for it
        raise EcgclipError(
            f"{name}: neither a folder with a model nor a Hugging Face repo id (owner/name){_models_in(folder.parent, name)}"
        )
    from huggingface_hub import snapshot_download

    print(f"note: {name} is no folder here: asked of the Hugging Face hub", file=sys.stderr)
    try:
        # never *.bin or *.pt: those are pickles
        patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "tokenizer/*"]
        return Path(snapshot_download(str(name), allow_patterns=patterns))
    except Exception as error:  # whatever the hub's client raises, the user needs one line
        raise EcgclipError(
            f"{name}: not to be had from the Hugging Face hub ({str(error).splitlines()[0][:100]})"
        ) from None


def _models_in(folder: Path, name: str | Path | None) -> str:
    """The models below a folder, nearest spelling first, as the end of an error."""
    if folder == Path():
        return ""
    found = [str(f.parent) for below in ("*", "*/*") for f in folder.glob(f"{below}/{FILES[1]}")]
    near = get_close_matches(str(name), found, n=3, cutoff=0)
    return f"; there is {' and '.join(near)}" if near else ""


def weights_hash(folder: str | Path | None = None) -> str:
    """SHA-256 of model.safetensors, as tables of results name it."""
    return file_sha256(_weights_folder(folder) / "model.safetensors")
