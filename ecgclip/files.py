"""Files that are written whole or not at all, assets of the package, and the version of its code.

A file is written under a name of its own beside its place, and moves there when it is complete. A reader sees the old
file or the new one, and two programs that write the same file do not disturb each other. A program that is interrupted
leaves nothing behind: by an exception, by Ctrl-C, and by SIGTERM where the command line runs (`cli.main`).
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
    """Give a path beside `path`; what is written there replaces it at the end, or is deleted if anything is raised."""
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
    """Write text (as UTF-8) or bytes, whole or not at all."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def parse_yaml(content: str | bytes) -> Any:
    """Return what YAML says, read by libyaml where PyYAML has it, ten times as fast. Raises yaml.YAMLError."""
    import yaml

    return yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read and compare, whole or not at all; makes the folder where there is none.

    A line for each top-level key, and a line for each object of a list of objects, however deep it stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(content))  # tuples are lists, keys are text
    write_atomic(path, _json_lines(plain, "", top=True) + "\n")


def _json_lines(value: Any, indent: str, top: bool = False) -> str:
    """`value` on one line, unless it is the whole file or a list of objects stands in it: then a line for each part."""
    if not value or not isinstance(value, dict | list) or not (top or _holds_rows(value)):
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, list):
        parts, brackets = [_json_lines(part, inner) for part in value], "[]"
    else:
        keys = [json.dumps(key, ensure_ascii=False) for key in value]
        parts = [f"{key}: {_json_lines(part, inner)}" for key, part in zip(keys, value.values(), strict=True)]
        brackets = "{}"
    return f"{brackets[0]}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{brackets[1]}"


def _holds_rows(value: Any) -> bool:
    """Whether a list of objects stands anywhere in `value`."""
    if isinstance(value, list):
        return any(isinstance(part, dict) or _holds_rows(part) for part in value)
    return isinstance(value, dict) and any(map(_holds_rows, value.values()))


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

    Raises
    ------
    EcgclipError
        It is in neither place.
    """
    package = Path(__file__).parent
    for path in (package / name, package.parent / name):
        if path.exists():
            return path
    raise EcgclipError(f"{name} is missing from the installation at {package}: reinstall ecgclip")


def code_version() -> str:
    """The package's version and, in a checkout, the commit; "-dirty" if a tracked file outside results/ has changed."""
    import subprocess
    from importlib.metadata import PackageNotFoundError, version

    try:
        package = version("ecgclip")
    except PackageNotFoundError:
        package = "unknown"
    this_file = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(this_file.parent), *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=5).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            return ""

    # an installation may lie inside another repository, which does not track this file
    commit = git("describe", "--always") if git("ls-files", this_file.name) else ""
    # an evaluation rewrites results/, which does not change the code that ran it
    changed = commit and git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)results")
    return f"{package}+{commit}{'-dirty' if changed else ''}" if commit else package
