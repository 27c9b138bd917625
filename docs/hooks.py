"""What mkdocs does before it renders a page: the front page is README.md, and links stay true on the site.

A link to a page under docs/ points to that page. A link to another file of the repository, which the site does not
have, becomes its text. A link to a file that does not exist is a warning, and an error with `mkdocs build --strict`.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any

log = logging.getLogger("mkdocs.hooks.links")
DOCS = Path(__file__).parent.resolve()
README = DOCS.parent / "README.md"
LINK = re.compile(r"\[([^\]\n]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Give the Markdown that mkdocs renders for a page."""
    source = DOCS / page.file.src_uri
    if page.file.src_uri == "index.md":
        source, markdown = README, README.read_text(encoding="utf-8")

    def mend(link: re.Match) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if ":" in target:  # an address on the web
            return link[0]
        file = (source.parent / target).resolve()
        if not file.exists():
            log.warning("%s: link to %s, which does not exist", source, target)
        if not file.is_relative_to(DOCS):
            return text
        place = os.path.relpath(file, (DOCS / page.file.src_uri).parent)
        return f"[{text}]({Path(place).as_posix()}{anchor})"

    return LINK.sub(mend, markdown)
