"""A page in headless Chromium, and a server of the shipped model for it."""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from person import Server, visit

RECORDS = Path(__file__).parents[2] / "examples" / "records"
FACTS = f"""record,report,labels,age,sex,ward
{RECORDS / "af"},Atrial fibrillation with a rapid response,AFIB,63,F,A
{RECORDS / "lbbb"},Left bundle branch block,CLBBB,71,M,A
{RECORDS / "inferior-stemi"},Acute inferior infarction,IMI;STEMI,58,M,B
"""


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


class Tab:
    """A page of 1400 x 900 px, and what went wrong in it: errors of scripts, of the security policy, of the server."""

    def __init__(self, browser):
        self.errors, self.hosts, self.refusals = [], set(), set()
        self.context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-US")
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)  # of a machine with other work
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._told)
        self.page.on("response", self._answered)
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))

    def _told(self, message):
        if message.type == "error" and not message.text.startswith("Failed to load resource"):  # see _answered
            self.errors.append(message.text)

    def _answered(self, response):
        if response.status >= 400 and response.status not in self.refusals:
            self.errors.append(f"{response.status}: {response.url}")

    def check(self):
        """Nothing went wrong since the last check, and no other host than the page's own was asked."""
        errors, hosts = list(self.errors), self.hosts - {""}  # data: and blob: have no host
        for seen in (self.errors, self.hosts, self.refusals):
            seen.clear()
        assert not errors
        assert len(hosts) <= 1


@pytest.fixture
def browser_page(browser):
    """A new page; what goes wrong in it fails the test."""
    tab = Tab(browser)
    yield tab.page
    tab.context.close()
    tab.check()


@pytest.fixture(scope="session")
def server(browser, tmp_path_factory):
    """A server with an index of the records in examples/; half of them have reports, labels and a ward."""
    folder = tmp_path_factory.mktemp("archive")
    (folder / "facts.csv").write_text(FACTS)
    command = [sys.executable, "-m", "ecgclip", "index", "build", RECORDS, "-o", folder / "index"]
    subprocess.run([*command, "--facts", folder / "facts.csv", "--workers", "1"], check=True, stdout=subprocess.DEVNULL)
    server = Server("--index", folder / "index", "--workers", 1)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tab(browser):
    """The tab of a file of tests: loading a page again is quicker than the first time."""
    tab = Tab(browser)
    yield tab
    tab.context.close()


@pytest.fixture
def page(tab, server):
    """The page of the server as it is loaded first, ready to take an ECG; what goes wrong in it fails the test."""
    tab.page.goto("about:blank")
    tab.page.set_viewport_size({"width": 1400, "height": 900})
    visit(tab.page, server.address)
    if tab.page.evaluate("localStorage.length"):
        tab.page.evaluate("localStorage.clear()")
        visit(tab.page, server.address)
    yield tab.page
    tab.check()


@pytest.fixture
def refusals(tab):
    """Statuses (4xx) that a test expects of the server: add them; any other fails the test."""
    return tab.refusals
