"""Write docs/serve.png, the page of `ecgclip serve` with an example:  python docs/make_serve_picture.py

Needs `pip install ".[serve,test]"` and Chromium.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURE = Path(__file__).with_name("serve.png")
WIDTH, HEIGHT = 1400, 960  # px
COLOURS = 256  # a third of the bytes
EXAMPLE = "inferior-stemi"
LABELS = "acute pericarditis, LBBB, inferior STEMI"


def picture() -> bytes:
    """The main view as PNG: an example on paper, labels asked for, and the criteria of the last one open."""
    command = [sys.executable, "-m", "ecgclip", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-US")
            fill(page, found[0])
            shot = page.screenshot()
            browser.close()
    finally:
        server.terminate()
        server.wait()
    small = io.BytesIO()
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image = image.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.save(small, "PNG", optimize=True)
    return small.getvalue()


def fill(page: Page, address: str) -> None:
    """Open the example, ask, and unfold the last answer."""
    page.goto(f"{address}#/ecg/example/{EXAMPLE}")
    page.wait_for_selector("#findings .mark")
    page.fill("#label-input", LABELS)
    page.press("#label-input", "Enter")
    last = page.locator("#scores > li").nth(LABELS.count(","))
    last.get_by_role("button").first.click()
    last.locator("button.criterion").first.wait_for()
    page.wait_for_selector("#paper .shade")
    page.locator("#ask-title").evaluate("heading => heading.scrollIntoView()")
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")


if __name__ == "__main__":
    PICTURE.write_bytes(picture())
