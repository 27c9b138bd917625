"""An archive of ECGs to search by words, by another ECG, or by both; `ECGIndex` is the entry point."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.index.archive import Change as Change
    from ecgclip.index.archive import ECGIndex as ECGIndex
    from ecgclip.index.hits import Hit as Hit
    from ecgclip.index.hits import shared as shared

__all__ = ["Change", "ECGIndex", "Hit", "shared"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "Change": "ecgclip.index.archive",
        "ECGIndex": "ecgclip.index.archive",
        "Hit": "ecgclip.index.hits",
        "shared": "ecgclip.index.hits",
    },
)
