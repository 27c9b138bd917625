"""A small PTB-XL of simulated patients, all in fold 9."""

import pytest
from toy import write_ptb_xl


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return write_ptb_xl(tmp_path_factory.mktemp("ptb-xl"), 20, fold=9)
