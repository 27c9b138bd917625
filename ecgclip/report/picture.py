"""A page of an ECG as SVG inside HTML."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ecgclip.plot.page import MM_PER_INCH

POINTS_PER_INCH = 72
DROPPED = ("metadata", "style", "title")  # of matplotlib's: they name addresses, and its style would hold for the page
REFERENCE = re.compile(r"(url\(#|^#)([^)]+)")


def inline_svg(svg: str, label: str, prefix: str) -> str:
    """A page of `ecgclip.plot` as an <svg> element as wide as the paper.

    Parameters
    ----------
    svg
        The page, printed.
    label
        What it shows, for who does not see it.
    prefix
        Of all ids in it, as one page may have several pictures.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in DROPPED:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _shorter(_local(key), value) for key, value in element.attrib.items()}
    _rename(root, prefix)
    width, height = (float(root.attrib[key].removesuffix("pt")) for key in ("width", "height"))
    millimetres = [f"{value / POINTS_PER_INCH * MM_PER_INCH:.2f}mm" for value in (width, height)]
    root.attrib |= {"width": millimetres[0], "height": millimetres[1], "role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    """A name without its namespace, which HTML knows."""
    return name.rpartition("}")[2]


def _shorter(key: str, value: str) -> str:
    """A path to 0.01 point and without gaps, which is half as long; other values as they are."""
    return re.sub(r"\d+\.\d+", lambda n: f"{float(n[0]):.2f}", " ".join(value.split())) if key == "d" else value


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """Put a prefix before each id that something refers to, and drop the others, which need not be unique."""
    values = [value for element in root.iter() for key, value in element.attrib.items() if key != "d"]
    used = {name for value in values for _, name in REFERENCE.findall(value)}
    for element in root.iter():
        if (name := element.attrib.pop("id", None)) in used:
            element.attrib["id"] = f"{prefix}{name}"
        for key, value in element.attrib.items():
            if key not in ("d", "id"):
                element.attrib[key] = REFERENCE.sub(rf"\g<1>{prefix}\g<2>", value)
