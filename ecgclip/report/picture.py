"""A page of an ECG as SVG inside HTML."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ecgclip.plot.page import MM_PER_INCH, Page, svg_of

POINTS_PER_INCH = 72
DROPPED = ("metadata", "style", "title")  # of matplotlib's: they name addresses, and its style would hold for the page


def inline_svg(page: Page, label: str, prefix: str) -> str:
    """An <svg> element as wide as the paper.

    Parameters
    ----------
    label
        What it shows, for who does not see it.
    prefix
        Of all ids in it, as one page may have several pictures.
    """
    root = ElementTree.fromstring(svg_of(page))
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in DROPPED:
                parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(key): _attribute(_local(key), value, prefix) for key, value in element.attrib.items()}
    width, height = (float(root.attrib[key].removesuffix("pt")) for key in ("width", "height"))
    millimetres = [f"{value / POINTS_PER_INCH * MM_PER_INCH:.2f}mm" for value in (width, height)]
    root.attrib |= {"width": millimetres[0], "height": millimetres[1], "role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    """A name without its namespace, which HTML knows."""
    return name.rpartition("}")[2]


def _attribute(key: str, value: str, prefix: str) -> str:
    if key == "d":  # to 0.01 point, and without the gaps: half of the size
        return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.2f}", " ".join(value.split()))
    if key == "id":
        return prefix + value
    if key == "href":
        return value.replace("#", f"#{prefix}", 1)
    return re.sub(r"url\(#", f"url(#{prefix}", value)
