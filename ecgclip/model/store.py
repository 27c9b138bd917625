"""Loading a model from its files."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Passage
from ecgclip.model.clip import ECGCLIP
from ecgclip.model.config import ModelConfig
from ecgclip.model.passages import EmbeddedPassages
from ecgclip.model.weights import weights_folder
from ecgclip.networks.devices import find_device, find_dtype
from ecgclip.networks.tokenizer import load_tokenizer


def load_model(
    name: str | Path | None = None,
    knowledge_base: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype = "float32",
) -> ECGCLIP:
    """Load a trained model.

    Parameters
    ----------
    name
        A folder, or a Hugging Face repo id ("owner/name"); None for the shipped weights.
    knowledge_base
        A folder of your own instead of the shipped one; its passages are then embedded anew.
    device
        Where it runs: "cpu", "cuda", "mps", or "auto" for the first of cuda, mps and cpu that is there. `.to()` moves
        it later.
    dtype
        What the ECG encoder computes in: "float32", or "float16", which is for GPUs and keeps scores within 0.001.

    Raises
    ------
    EcgclipError
        Files are missing or damaged, the device is not there, or the dtype is another.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file as load_arrays
    from safetensors.torch import load_file

    place, precision = find_device(device), find_dtype(dtype)
    folder = weights_folder(name)
    try:
        config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        kb = KnowledgeBase.load(knowledge_base)
        model = ECGCLIP(config, load_tokenizer(folder, config.text), kb)
        model.load_stored_state(load_file(folder / "model.safetensors"))
        vectors = load_arrays(folder / "vectors.safetensors")
        model.reference = vectors["reference"].astype(np.float32)
        embedded = _embedded_passages(folder)
    except EcgclipError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        problem = str(error).splitlines()[0][:120]
        raise EcgclipError(
            f"{folder}: damaged or foreign weights ({problem}); reinstall ecgclip, give another --model, or train "
            "again what an older version trained"
        ) from None
    model.folder, model.dtype = folder, precision
    model.eval().to(place)
    if embedded == kb.passages and len(vectors.get("passages", ())) == len(embedded):
        model.knowledge = EmbeddedPassages(kb, vectors["passages"].astype(np.float32))
    else:
        model.set_knowledge(kb)
    return model


def _embedded_passages(folder: Path) -> list[Passage]:
    """The passages that a stored model has vectors of, in their order; none if their fields are of another version.

    They are only compared with those of the knowledge base in use: what a model's copy says is not shown to anybody.
    """
    file = folder / "knowledge_base.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    with suppress(AttributeError, LookupError, TypeError):
        return KnowledgeBase.from_dict(stored).passages
    return []
