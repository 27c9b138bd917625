"""XML documents, parsed without a document type: no entity is expanded and nothing outside the file is read."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from ecgclip.ecg import EcgclipError
from ecgclip.io.file import File

MAX_DEPTH = 100  # elements within elements


class _Tree(TreeBuilder):
    """Elements by their local names: formats are told apart by their root, and writers differ in namespaces."""

    depth = 0

    def start(self, tag, attributes):
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ParseError(f"more than {MAX_DEPTH} elements within each other")
        return super().start(local(tag), {local(key): value for key, value in attributes.items()})

    def end(self, tag):
        self.depth -= 1
        return super().end(local(tag))


def parse_xml(file: File) -> Element:
    """The root of a document, with all names of elements and attributes without their namespace.

    Raises
    ------
    EcgclipError
        It is not well formed, or declares entities.
    """
    parser = XMLParser(target=_Tree())
    parser.parser.EntityDeclHandler = _refuse
    parser.parser.ExternalEntityRefHandler = None
    try:
        parser.feed(bytes(file.data[:]))
        return parser.close()
    except (ParseError, LookupError, ValueError) as error:
        problem = " ".join(str(error).split())[:150]
        raise EcgclipError(f"{file.name}: not a well-formed XML document ({problem})") from None


def _refuse(*_: object) -> None:
    raise ParseError("it declares entities, which no ECG needs")


def local(name: str) -> str:
    """ "{urn:hl7-org:v3}value" → "value"."""
    return name.rpartition("}")[2]


def text_of(parent: Element | None, path: str) -> str | None:
    """The text of the first element at `path`, without blanks around it; None where there is none."""
    found = None if parent is None else parent.find(path)
    text = re.sub(r"\s+", " ", "".join(found.itertext())).strip() if found is not None else ""
    return text or None
