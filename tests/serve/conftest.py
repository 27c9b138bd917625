"""A page in headless Chromium."""

import shutil

import pytest


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def browser_page(browser):
    """A new page of 1400 x 900 px; an error of its scripts or of its security policy fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page, errors = context.new_page(), []
    page.set_default_timeout(5000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert not errors
