"""Where the real and made files of many formats are."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def formats():
    root = os.environ.get("ECGCLIP_DATA", "")
    folder = Path(root, "formats")
    if not root or not folder.is_dir():
        pytest.skip("needs the folder formats in $ECGCLIP_DATA")
    return folder
