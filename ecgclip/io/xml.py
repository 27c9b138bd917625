"""XML documents, parsed without a document type: no entity is expanded and nothing outside the file is read."""

from __future__ import annotations

import re
from functools import lru_cache
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File

MAX_DEPTH = 100  # elements within elements
MAX_BYTES = 256 << 20  # a document is held in memory several times


def parse_xml(file: File) -> Element:
    """The root of a document, with the names of elements and attributes without their namespaces.

    Raises
    ------
    EcgclipError
        It is not well formed, nested too deeply, far too large, or declares entities.
    """
    if len(file) > MAX_BYTES:
        raise EcgclipError(f"{file.name}: an XML document of {len(file) >> 20} MiB; no ECG has more than 256")
    tree, depth = TreeBuilder(), 0
    short = lru_cache(maxsize=1000)(local)  # documents have few names, and many elements

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise EcgclipError(f"{file.name}: more than {MAX_DEPTH} XML elements within each other")
        tree.start(short(tag), {short(key): value for key, value in attributes.items()} if attributes else attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(short(tag))

    def refuse(*_: object) -> int:
        raise EcgclipError(f"{file.name}: the XML document declares entities, which no ECG needs")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text, parser.buffer_size = True, 1 << 20
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, tree.data
    parser.EntityDeclHandler, parser.ExternalEntityRefHandler = refuse, refuse
    try:
        parser.Parse(bytes(file.data[:]), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise EcgclipError(f"{file.name}: not a well-formed XML document ({error})") from None
    return tree.close()


def local(name: str) -> str:
    """ "{urn:hl7-org:v3}value" → "value"."""
    return name.rpartition("}")[2]


def text_of(parent: Element | None, path: str) -> str | None:
    """The text of the first element at `path`, without blanks around it; None where there is none."""
    found = None if parent is None else parent.find(path)
    text = re.sub(r"\s+", " ", "".join(found.itertext())).strip() if found is not None else ""
    return text or None
