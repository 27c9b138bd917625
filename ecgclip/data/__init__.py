"""Data sets: from a folder in its public layout to cases, splits and windows."""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.data.cases import Case as Case
    from ecgclip.data.sets import DATA_SETS as DATA_SETS
    from ecgclip.data.sets import DataSet as DataSet
    from ecgclip.data.windows import Windows as Windows
    from ecgclip.data.windows import load_windows as load_windows

__all__ = ["Case", "DATA_SETS", "DataSet", "Windows", "load_windows"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "Case": "ecgclip.data.cases",
        "DATA_SETS": "ecgclip.data.sets",
        "DataSet": "ecgclip.data.sets",
        "Windows": "ecgclip.data.windows",
        "load_windows": "ecgclip.data.windows",
    },
)
