"""Zero-shot classification of ECGs by words. Research software, not a medical device.

    import ecgclip
    model = ecgclip.load_model()
    model.classify("record.hea", labels=["AF", "STEMI"])["AF"].probability

The names below load on first use, so that `import ecgclip` is quick. Single steps have the names of their modules and
are imported from there: `from ecgclip.prepare import prepare`, and likewise `measure` and `simulate`.
"""

from typing import TYPE_CHECKING, Any

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.ecg import ECG, EcgclipError
    from ecgclip.io.read import read_ecg
    from ecgclip.io.records import find_records
    from ecgclip.knowledge.base import KnowledgeBase
    from ecgclip.model.store import load_model

    __version__: str

__all__ = ["ECG", "EcgclipError", "KnowledgeBase", "__version__", "find_records", "load_model", "read_ecg"]
_load, _names = attach(
    __name__,
    {
        "ECG": "ecgclip.ecg",
        "EcgclipError": "ecgclip.ecg",
        "find_records": "ecgclip.io.records",
        "read_ecg": "ecgclip.io.read",
        "KnowledgeBase": "ecgclip.knowledge.base",
        "load_model": "ecgclip.model.store",
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("ecgclip")
        except PackageNotFoundError:  # a checkout on the path that is not installed
            return "unknown"
    return _load(name)


def __dir__() -> list[str]:
    return [*_names(), "__version__"]
