"""Reading and writing records: a module for each format, and records by path."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.io.read import read_ecg as read_ecg
    from ecgclip.io.read import read_metadata as read_metadata
    from ecgclip.io.records import find_records as find_records
    from ecgclip.io.records import record_files as record_files
    from ecgclip.io.records import record_hash as record_hash
    from ecgclip.io.records import record_stamp as record_stamp
    from ecgclip.io.write import write_ecg as write_ecg

__all__ = ["read_ecg", "read_metadata", "find_records", "record_files", "record_hash", "record_stamp", "write_ecg"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "read_ecg": "ecgclip.io.read",
        "read_metadata": "ecgclip.io.read",
        "find_records": "ecgclip.io.records",
        "record_files": "ecgclip.io.records",
        "record_hash": "ecgclip.io.records",
        "record_stamp": "ecgclip.io.records",
        "write_ecg": "ecgclip.io.write",
    },
)
