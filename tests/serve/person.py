"""What a person does with `ecgclip serve`: starts it, drops files, asks for conditions, reads what is said."""

import re
import signal
import subprocess
import sys


class Server:
    """`ecgclip serve` with options, at a free port; it can be started again at the same address."""

    def __init__(self, *options):
        self.options, self.port = [str(option) for option in options], 0
        self.start()

    def start(self):
        command = [sys.executable, "-m", "ecgclip", "serve", "--port", str(self.port), *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address, self.port = re.search(r"(http://[^/\s]+:(\d+))", self.process.stdout.readline()).groups()

    def stop(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        try:
            assert self.process.wait(20) in (0, 130, -signal.SIGINT)
        finally:
            self.process.kill()


def visit(page, address, hash=""):
    """Load the page with an address after #, and wait until it can be used."""
    page.goto(f"{address}/{hash}")
    page.wait_for_selector("#example-list a", state="attached")


def example(page, name):
    """Open an example by its id."""
    page.evaluate("id => { location.hash = `#/ecg/example/${id}`; }", name)


def choose(page, *files):
    """Choose files of the disk, as with the file button."""
    page.set_input_files("#files", [str(file) for file in files])


def drop(page, *paths):
    """Drag files or folders of the disk onto the page and drop them."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 400, "data": data})


def wait_opened(page, name):
    """Wait until an ECG with this name is on the paper, and what is found is said and scored."""
    page.wait_for_function(
        """name => document.querySelector("#record-name").textContent === name && document.querySelector(".trace")
             && document.querySelector("#findings[aria-busy=false] :is(.mark, .soft)")""",
        arg=name,
    )


def ask(page, words):
    """Type labels into the label box and ask."""
    page.fill("#label-input", words)
    page.press("#label-input", "Enter")


def row_of(page, name):
    """The score of a condition that was asked for, by the name that it is shown under."""
    return page.locator("#scores > li").filter(has=page.locator(f"h4 .name:text-is('{name}')"))


def errors(page):
    """The lines of what went wrong that are in sight."""
    return [line for line in page.locator(".error:visible").all_inner_texts() if line]
