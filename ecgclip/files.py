"""Files that are written whole or not at all.

A file gets a name of its own beside its place and moves there when all is written, so that a reader sees the old one or the new
one, and two programs that write the same file do not disturb each other. What is interrupted leaves nothing behind: an
exception, Ctrl-C, and SIGTERM where the command line runs (cli.main).
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecgclip.ecg import EcgclipError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new path in the folder of `path`: what is written there takes its place at the end, and goes if anything is raised."""
    target = Path(os.path.realpath(path))  # a link stays one
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex[:12]}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # else a power cut may leave an empty file under the final name
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes, whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def file_sha256(*paths: str | os.PathLike) -> str:
    """SHA-256 of the contents of a file, or of several files in a row, as hex digits.

    Files are read in pieces, as one of gigabytes must not fill the memory.
    """
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while piece := file.read(1 << 22):
                digest.update(piece)
    return digest.hexdigest()


def asset_path(name: str) -> Path:
    """The path of an asset such as "prompts/findings.yaml": inside the installed package, or beside it in a checkout.

    Raises EcgclipError where it is in neither place.
    """
    package = Path(__file__).parent
    for path in (package / name, package.parent / name):
        if path.exists():
            return path
    raise EcgclipError(f"{name} is missing from the installation at {package}: reinstall ecgclip")


def write_json(path: Path, content: Any) -> None:
    """Atomic: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def code_version() -> str:
    """The package's version and, in a checkout, the commit; "-dirty" where a tracked file outside results/ is changed."""
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    try:
        package = version("ecgclip")
    except PackageNotFoundError:
        package = "unknown"
    own = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(own.parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ""

    # an installation may lie in a folder of another repository, which knows nothing of this file
    commit = git("describe", "--always") if git("ls-files", own.name) else ""
    # results/ is what a measurement rewrites: no reason to call the code that measured it changed
    changed = commit and git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
    return f"{package}+{commit}{'-dirty' if changed else ''}" if commit else package
