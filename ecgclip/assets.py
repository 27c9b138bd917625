"""Where the files that belong to the product lie: prompts, knowledge base, weights."""

from pathlib import Path

from ecgclip.ecg import EcgclipError


def asset_path(name: str) -> Path:
    """The path of an asset such as "prompts/findings.yaml": inside the installed package, or beside it in a checkout.

    Raises EcgclipError where it is in neither place.
    """
    package = Path(__file__).parent
    for path in (package / name, package.parent / name):
        if path.exists():
            return path
    raise EcgclipError(f"{name} is missing from the installation at {package}: reinstall ecgclip")
