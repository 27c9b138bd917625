"""A toy training, made once: its data, its text encoder and the model it ends with."""

import json

import pytest
from toy import few_simulated, recipe, write_ptb_xl


@pytest.fixture(scope="session")
def cache_folder(tmp_path_factory):
    """Prepared windows of the toy data, away from the user's own cache."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def cache(cache_folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", cache_folder)
    few_simulated(monkeypatch)


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A folder with ptb-xl/ of 24 simulated records, and text/, the pretrained text encoder."""
    from ecgclip.train.text import train_text

    root = tmp_path_factory.mktemp("toy")
    write_ptb_xl(root / "ptb-xl")
    train_text(recipe(), root, root / "text", threads=1)
    return root


@pytest.fixture(scope="session")
def trained(toy, cache_folder):
    """The output folder of two joint epochs and a locked one, without a break."""
    from ecgclip.train.clip import train_clip

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", cache_folder)
        few_simulated(patch)
        train_clip(recipe(), toy, toy / "text", toy / "clip", threads=1)
    return toy / "clip"


@pytest.fixture(scope="session")
def splits(toy, cache_folder):
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.train.sources import load_split

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", cache_folder)
        return load_split(recipe(), toy, KnowledgeBase.load(), validation=False)


@pytest.fixture(scope="module")
def untrained(toy):
    """An untrained model with the text encoder's tokenizer."""
    import torch

    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.config import ModelConfig
    from ecgclip.networks.config import TextConfig
    from ecgclip.networks.tokenizer import load_tokenizer

    config = TextConfig(**json.loads((toy / "text" / "text.json").read_text()))
    torch.manual_seed(0)
    tokenizer = load_tokenizer(toy / "text", config)
    return ECGCLIP(ModelConfig(recipe().ecg_config, config), tokenizer, KnowledgeBase.load())


@pytest.fixture(scope="module")
def batches(untrained, splits):
    from ecgclip.train.batches import Batches

    return Batches(recipe(), splits, untrained)
