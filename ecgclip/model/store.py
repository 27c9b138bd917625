"""Loading a model."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np

from ecgclip.ecg import EcgclipError
from ecgclip.knowledge.base import KnowledgeBase
from ecgclip.knowledge.concepts import Passage
from ecgclip.model.clip import ECGCLIP, ModelConfig
from ecgclip.model.weights import _weights_folder
from ecgclip.networks.tokenizer import load_tokenizer


def load_model(name: str | Path | None = None, knowledge_base: str | Path | None = None) -> ECGCLIP:
    """The shipped weights; or those of a folder, or of a Hugging Face repo id ("owner/name").

    knowledge_base: a folder of one's own instead of the shipped one; its passages are then embedded anew.
    Raises EcgclipError where files are missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file as load_arrays
    from safetensors.torch import load_file

    folder = _weights_folder(name)
    try:
        config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        state = load_file(folder / "model.safetensors")
        text = {k.removeprefix("text."): state.pop(k) for k in list(state) if k.startswith("text.")}
        kb = KnowledgeBase.load(knowledge_base)
        model = ECGCLIP(config, load_tokenizer(folder, config.text), kb)
        # models of version 0.1.0 also had a caption decoder
        model.load_state_dict({k: v for k, v in state.items() if not k.startswith("caption.")})
        model._text_state, model.folder = text, folder
        vectors = load_arrays(folder / "vectors.safetensors")
        model.reference = vectors["reference"].astype(np.float32)
        embedded = _embedded_passages(folder)
    except EcgclipError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        problem = str(error).splitlines()[0][:120]
        raise EcgclipError(
            f"{folder}: damaged or foreign weights ({problem}); reinstall ecgclip or give another --model"
        ) from None
    model.eval()
    if embedded == kb.passages and len(vectors.get("passages", ())) == len(embedded):
        model.passages = kb.passages
        model.passage_vectors = vectors["passages"].astype(np.float32)
    else:
        model.set_knowledge(kb)
    return model


def _embedded_passages(folder: Path) -> list[Passage]:
    """Those that a stored model has vectors of, in their order; what they mean, the knowledge base says and not the model."""
    file = folder / "knowledge_base.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    with suppress(AttributeError, LookupError, TypeError):  # none, where concepts had other fields than today
        return KnowledgeBase.from_dict(stored).passages
    return []
