"""Loading a model from its files."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.entries import stored_entries
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
        tokenizer = load_tokenizer(folder, config.text)
        with _NoDraws():
            model = ECGCLIP(config, tokenizer, kb)
        model.load_stored_state(load_file(folder / "model.safetensors"))
        vectors = load_arrays(folder / "vectors.safetensors")
        model.reference = vectors["reference"].astype(np.float32)
        embedded = _is_embedded(kb, folder)
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
    if embedded and len(vectors.get("passages", ())) == len(kb.passages):
        model.knowledge = EmbeddedPassages(kb, vectors["passages"].astype(np.float32))
    else:
        model.set_knowledge(kb)
    return model


def _is_embedded(kb: KnowledgeBase, folder: Path) -> bool:
    """Whether the passages that a stored model has vectors of are those of `kb`.

    They are only compared: what a model's copy of a knowledge base says is not shown to anybody. One whose fields are
    of another version has other passages.
    """
    file = folder / "knowledge_base.json"
    with suppress(AttributeError, LookupError, TypeError):
        concepts = stored_entries(file.read_bytes() if file.exists() else b"{}").concepts
        return concepts == kb.concepts or [p for c in concepts.values() for p in c.passages] == kb.passages
    return False


class _NoDraws(TorchFunctionMode):
    """Layers are made without the random weights that stored ones replace."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.nn.init.kaiming_uniform_:
            return kwargs["tensor"]
        return args[0] if function is torch.Tensor.uniform_ else function(*args, **kwargs or {})
