"""The names that the packages export load on first use."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(p.parent.name for p in (ROOT / "ecgclip").glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_that_a_package_exports_is_there(package):
    module = importlib.import_module(f"ecgclip.{package}")
    for name in getattr(module, "__all__", ()):
        assert getattr(module, name) is not None, name
