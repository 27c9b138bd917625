"""What the tests of the command line share."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_python(*arguments, variables=None, **options):
    """Run Python in a process of its own, on this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(variables or {})}
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=environment, text=True, capture_output=True, **options
    )


def assert_misuse(result, *words):
    """Exit code 2, nothing on stdout, and one line with `words` on stderr."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert len(err) < 600
    for word in words:
        assert word in err
