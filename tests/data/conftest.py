"""The knowledge base, and a folder of records with diagnoses."""

import pytest
from toy import write_dx

from ecgclip.knowledge.base import KnowledgeBase


@pytest.fixture(scope="session")
def kb():
    return KnowledgeBase.load()


@pytest.fixture(scope="session")
def challenge(tmp_path_factory):
    root = tmp_path_factory.mktemp("challenge")
    write_dx(root / "g1" / "E00001", "426783006")  # sinus rhythm
    write_dx(root / "g1" / "E00002", "164889003", condition="af")
    write_dx(root / "g2" / "JS00001", "164909002", condition="lbbb")
    write_dx(root / "g2" / "A0001", "426783006")
    write_dx(root / "g2" / "A0002", "AF", condition="af")
    return root
