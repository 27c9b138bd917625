"""A tiny model with random weights, made once: the real code paths, in seconds, with no shipped weights."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a GPU's sums differ from run to run, and the tests want none
if "PYTEST_XDIST_WORKER" in os.environ:
    # before torch starts: workers with a thread for each core wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

LONG = ("train", "test_examples.py")


def pytest_collection_modifyitems(items):
    """Files that take long come first: begun last, they would keep one worker busy while the others are done."""
    items.sort(key=lambda item: not set(LONG) & set(item.path.parts))


def unit_vectors(n, dim=32):
    vectors = np.random.default_rng(n).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a saved model over the shipped knowledge base; its floor leaves every unknown label unknown."""
    import torch

    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.model.clip import ECGCLIP
    from ecgclip.model.config import ModelConfig
    from ecgclip.model.passages import EmbeddedPassages
    from ecgclip.networks.config import ECGConfig, TextConfig
    from ecgclip.networks.tokenizer import SentencePieceTokenizer

    torch.manual_seed(0)
    kb = KnowledgeBase.load()
    text = TextConfig(vocabulary=400, width=32, layers=1, heads=4, max_tokens=24, dim=32)
    ecg = ECGConfig(width=32, sizes={"channels": (8, 16, 24)}, heads=4, dim=32)
    tokenizer = SentencePieceTokenizer.train([p.text for p in kb.passages], text)
    model = ECGCLIP(ModelConfig(ecg, text, floor=2.0), tokenizer, kb).eval()
    model.build_text()
    # random vectors, as those of random weights are: embedding thousands of passages takes long
    model.knowledge = EmbeddedPassages(kb, unit_vectors(len(kb.passages)))
    model.reference = unit_vectors(64)
    folder = tmp_path_factory.mktemp("model")
    model.save(folder)
    return folder


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """A folder with the simulated records af, normal and pvc, the last one 24 s long."""
    from ecgclip.simulate import simulate, write_record

    folder = tmp_path_factory.mktemp("records")
    for name in ("af", "normal"):
        write_record(simulate(name, seed=1), folder / name)
    write_record(simulate("pvc", seed=1, seconds=24, sampling_rate=250), folder / "pvc")
    return folder
