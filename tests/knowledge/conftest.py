"""The knowledge base that ships, read once."""

import pytest

from ecgclip.knowledge.base import KnowledgeBase


@pytest.fixture(scope="session")
def kb():
    return KnowledgeBase.load()
