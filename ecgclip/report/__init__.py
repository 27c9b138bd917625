"""A report on an ECG, to be read by a person: one page of HTML without a request to anywhere, or a PDF.

ECG, embedding, scores ──content──▶ Report ──html──▶ page ──pdf──▶ sheets of text
                            └ ranges           └ words, style, picture
"""

from typing import TYPE_CHECKING

from ecgclip.lazy import attach

if TYPE_CHECKING:
    from ecgclip.report.content import Report as Report
    from ecgclip.report.content import Reporter as Reporter
    from ecgclip.report.html import html_article as html_article
    from ecgclip.report.html import html_page as html_page

__all__ = ["Report", "Reporter", "html_article", "html_page"]
__getattr__, __dir__ = attach(
    __name__,
    {
        "Report": "ecgclip.report.content",
        "Reporter": "ecgclip.report.content",
        "html_article": "ecgclip.report.html",
        "html_page": "ecgclip.report.html",
    },
)
