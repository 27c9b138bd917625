"""Who the patient is stays in the file: an ECG carries a salted hash of the id, and no name or date of birth."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

LENGTH = 16  # hex digits of a hash


def without_identity(metadata: dict[str, Any], keep_ids: bool = False) -> dict[str, Any]:
    """Replace `patient_id` by `patient`, its salted hash; with `keep_ids`, `patient` is the id itself."""
    rest = {key: value for key, value in metadata.items() if key != "patient_id" and value not in (None, "", [], {})}
    identity = str(metadata.get("patient_id") or "").strip()
    if identity:
        rest["patient"] = identity if keep_ids else hashed(identity)
    return rest


def hashed(identity: str) -> str:
    """A hash of a patient's id, the same on this machine for the same id, and of no use without the salt."""
    return hashlib.sha256(_salt() + identity.encode("utf-8", "replace")).hexdigest()[:LENGTH]


@lru_cache(maxsize=1)
def _salt() -> bytes:
    """$ECGCLIP_SALT, or random bytes that are kept in the user's configuration folder."""
    if given := os.environ.get("ECGCLIP_SALT"):
        return given.encode()
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ecgclip" / "salt"
    fresh = os.urandom(32)
    try:
        if stored := _stored(path):
            return stored
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"salt.{os.getpid()}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(fresh)
        if path.is_file():
            path.unlink()  # an empty one, of a run that was killed
        with suppress(FileExistsError):  # another run was quicker: its salt counts
            os.link(partial, path)
        partial.unlink()
        return _stored(path) or fresh
    except OSError:
        return fresh  # nowhere to keep it: hashes are the same within this run only


def _stored(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
