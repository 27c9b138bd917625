"""Zero-shot classification of ECGs by words. Research software, not a medical device.

    import ecgclip
    model = ecgclip.load_model()
    model.classify("record.hea", labels=["AF", "STEMI"])["AF"].probability

The names below load on first use, so that `import ecgclip` is quick. The single steps are functions of the modules of the
same name and are imported from there: `from ecgclip.prepare import prepare`, and likewise `measure` and `simulate`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgclip.ecg import ECG, EcgclipError, find_records, read_ecg
    from ecgclip.knowledge import KnowledgeBase
    from ecgclip.model import load_model

    __version__: str

_HOMES = {
    "ECG": "ecg",
    "EcgclipError": "ecg",
    "find_records": "ecg",
    "read_ecg": "ecg",
    "KnowledgeBase": "knowledge",
    "load_model": "model",
}
__all__ = ["ECG", "EcgclipError", "KnowledgeBase", "__version__", "find_records", "load_model", "read_ecg"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("ecgclip")
        except PackageNotFoundError:  # a checkout on the path that nobody installed
            return "unknown"
    if name not in _HOMES:
        raise AttributeError(f"module 'ecgclip' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ecgclip.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
