"""docs/cli.md is the commands' own help."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_on_the_command_line_is_up_to_date():
    page = runpy.run_path(str(ROOT / "docs" / "make_cli.py"))["page"]
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page(), "stale: run python docs/make_cli.py"
