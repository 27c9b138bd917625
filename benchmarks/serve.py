"""The server under load, over HTTP on this machine:

    python benchmarks/serve.py --output results/serve.json
    python benchmarks/serve.py --hostile --output results/serve-hostile.json

- Load: `--clients` that each send the next request when the last one was answered: a 12-lead ECG of 10 s as a WFDB
  record, scored for five labels. Requests a second, latency, answers by status, and the memory of the server's
  processes after a warm-up and at the end.
- Hostile: damaged files of all formats (those of $ECGCLIP_DATA/formats, where there are any, and the examples), fields
  of wrong types, names that are paths, broken and endless headers, bodies that never end. Answers by status, answers
  that are no clean refusal, and whether the server still answers. A 5xx other than 503, or a path of the server's disk,
  is a failure.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from ecgclip.files import code_version, write_json
from ecgclip.io.write_wfdb import write_record
from ecgclip.simulate import simulate

ROOT = Path(__file__).parents[1]
CONDITIONS = ("normal", "af", "lbbb", "pvc", "inferior-stemi", "lvh", "sinus-tachycardia", "first-degree-av-block")
LABELS = "AF,STEMI,LBBB,long QT,LVH"
WARM_UP = 200  # requests
BOUNDARY = "ecgclip-benchmark"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
QUESTIONS = ("open", "signal", "classify", "describe", "measure", "places", "timeline", "similar", "plot", "report")
Answer = tuple[int, bytes]


@contextmanager
def running(*options: str) -> Iterator[tuple[str, int, subprocess.Popen]]:
    """A server as a process: its host, port and process."""
    command = [sys.executable, "-m", "ecgclip", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout
    address = urlsplit(process.stdout.readline().strip())
    try:
        yield str(address.hostname), int(address.port or 0), process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def memory_mb(pid: int) -> float:
    """The resident memory of a process and all below it, without what they share."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in map(str.split, table.splitlines())}
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    total = 0
    for member in family:
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return round(total / 1024, 1)


def form(files: list[tuple[str, bytes]], fields: dict[str, str]) -> bytes:
    """The body of a request."""
    parts = [f'name="{name}"\r\n\r\n{value}\r\n'.encode(errors="surrogateescape") for name, value in fields.items()]
    for name, content in files:
        head = f'name="files"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        parts.append(head.encode(errors="surrogateescape") + content + b"\r\n")
    start = f"--{BOUNDARY}\r\nContent-Disposition: form-data; ".encode()
    return b"".join(start + part for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def ask(connection: http.client.HTTPConnection, path: str, body: bytes) -> Answer:
    """The status and body of an answer."""
    connection.request("POST", path, body, FORM)
    answer = connection.getresponse()
    return answer.status, answer.read()


# ---------------------------------------------------------------------------------------------------------------------
# Load


def bodies() -> list[bytes]:
    """Requests with simulated ECGs."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(32):
            path = Path(folder, f"record{i}")
            write_record(simulate(CONDITIONS[i % len(CONDITIONS)], i), path)
            files = [(path.name + ending, path.with_suffix(ending).read_bytes()) for ending in (".hea", ".dat")]
            made.append(form(files, {"labels": LABELS}))
    return made


def load(host: str, port: int, requests: int, clients: int, asked: list[bytes]) -> tuple[float, list[float], Counter]:
    """Send requests by so many clients: seconds in all, those of each request, and the answers by status."""
    numbers = iter(range(requests))
    turn = threading.Lock()
    times: list[float] = []
    statuses: Counter[str] = Counter()

    def client() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=60)
        while True:
            with turn:
                number = next(numbers, None)
            if number is None:
                return
            start = time.perf_counter()
            try:
                status, content = ask(connection, "/api/classify", asked[number % len(asked)])
                good = status == 200 and len(json.loads(content)[0]["scores"]) == len(LABELS.split(","))
                outcome = str(status) if good or status != 200 else "wrong answer"
            except (OSError, http.client.HTTPException, ValueError) as error:
                outcome = type(error).__name__
                connection.close()
            with turn:
                times.append(time.perf_counter() - start)
                statuses[outcome] += 1

    start = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, times, statuses


def measure_load(requests: int, clients: int, options: list[str]) -> dict:
    """Requests a second, latencies, errors and memory."""
    asked = bodies()
    with running(*options) as (host, port, process):
        load(host, port, WARM_UP, clients, asked)
        before = memory_mb(process.pid)
        seconds, times, statuses = load(host, port, requests, clients, asked)
        after = memory_mb(process.pid)
    cuts = statistics.quantiles(times, n=100)
    return {
        "requests": requests,
        "clients": clients,
        "requests_a_second": round(requests / seconds, 1),
        "p50_s": round(cuts[49], 3),
        "p95_s": round(cuts[94], 3),
        "p99_s": round(cuts[98], 3),
        "longest_s": round(max(times), 3),
        "answers": dict(statuses),
        "errors": requests - statuses["200"],
        "memory_before_mb": before,
        "memory_after_mb": after,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Hostile


def samples() -> list[tuple[str, bytes]]:
    """Good files of as many formats as there are here."""
    folders = [ROOT / "examples/records"]
    if "ECGCLIP_DATA" in os.environ:
        folders.append(Path(os.environ["ECGCLIP_DATA"], "formats"))
    files = [file for folder in folders for file in sorted(folder.rglob("*")) if file.is_file()]
    return [(file.name, file.read_bytes()) for file in files if file.stat().st_size < 1 << 20]


def damaged(content: bytes, rng: random.Random) -> bytes:
    """A file with some bytes changed, cut, repeated or swapped."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 4, 16))):
        at = int(len(changed) * rng.random() ** 3)  # most often near the beginning, where headers are
        kind = rng.randrange(5)
        if kind == 0:
            changed[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del changed[at : at + rng.choice((1, 4, 1000))]
        elif kind == 2:
            changed[at:at] = changed[at : at + rng.choice((1, 16, 400))]
        elif kind == 3:
            changed[at : at + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\0\0\0\0", b"9999", b"-1e9", b"../."))
        else:
            del changed[max(at, len(changed) // 8) :]
    return bytes(changed)


NAMES = ("../../etc/passwd", "/etc/passwd", "a\\..\\b.hea", "x" * 400, "\x7f;.edf", "-", "#1", "*", "é\udcff.csv", "")
VALUES = ("nan", "-1", "1e999", "x" * 3000, "\0", "' OR 1=1 --", "[]", "true", "٣", "../../x", '"', "ecg\r\nx: y")
FIELDS = (
    *("sampling_rate", "unit", "leads", "labels", "top", "softmax", "explain", "start", "seconds", "k", "where"),
    *("threshold", "language", "label", "layout", "speed", "gain", "show", "format", "record", "ecg", "example"),
)


def damaged_file(host: str, port: int, rng: random.Random, files: list[tuple[str, bytes]]) -> Answer:
    """A damaged file, under its own name or one that is a path."""
    name, content = rng.choice(files)
    sent = [(name if rng.random() < 0.8 else rng.choice(NAMES), damaged(content, rng))]
    if name.endswith(".hea"):
        sent.append((name[:-4] + ".dat", dict(files).get(name[:-4] + ".dat", b"")))
    return _asked(host, port, f"/api/{rng.choice(QUESTIONS)}", form(sent, {"label": "AF", "labels": "AF"}))


def wrong_fields(host: str, port: int, rng: random.Random, files: list[tuple[str, bytes]]) -> Answer:
    """Fields of wrong types, beside an example."""
    fields = {"example": "af", "label": "AF"} | {rng.choice(FIELDS): rng.choice(VALUES) for _ in range(3)}
    return _asked(host, port, f"/api/{rng.choice((*QUESTIONS, 'search'))}", form([], fields))


def broken_form(host: str, port: int, rng: random.Random, files: list[tuple[str, bytes]]) -> Answer:
    """A form that is damaged itself, or too many files."""
    body = form([rng.choice(files)], {"labels": "AF"}) if rng.random() < 0.9 else form([files[0]] * 99, {})
    return _asked(host, port, "/api/classify", damaged(body, rng))


def strange_address(host: str, port: int, rng: random.Random, files: list[tuple[str, bytes]]) -> Answer:
    """An address that leads out of the folder of the page, or to nothing."""
    paths = (
        "/static/../app.py",
        "/static/%2e%2e/%2e%2e/cli/app.py",
        "/static//etc/passwd",
        "/api/kb/..%2f..%2fx",
        "//",
    )
    path = rng.choice((*paths, f"/api/kb/{'x' * 5000}", "/?token=x", "/api/kb/%00", "/%ff%fe"))
    method = rng.choice(("GET", "POST", "PUT", "FOO"))
    return _raw(host, port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())


def broken_head(host: str, port: int, rng: random.Random, files: list[tuple[str, bytes]]) -> Answer:
    """Headers that are too long, contradict each other, or are none."""
    start = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\n"
    heads = (
        start + b"A: " + b"b" * 300_000 + b"\r\n\r\n",
        start + b"A: b\r\n" * 20_000 + b"\r\n",
        start + b"Content-Length: -5\r\n\r\n",
        start + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        start + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        start + b"Content-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc",
        start + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        start + b"Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200),
        rng.randbytes(1000),
    )
    return _raw(host, port, rng.choice(heads))


def slow_body(host: str, port: int, rng: random.Random, files: list[tuple[str, bytes]]) -> Answer:
    """A body, or headers, that begin and do not go on."""
    begun = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    return _raw(host, port, rng.choice((begun, begun + b"Content-Length: 1000\r\n\r\n--x\r\n")), wait=60)


def _asked(host: str, port: int, path: str, body: bytes) -> Answer:
    connection = http.client.HTTPConnection(host, port, timeout=120)
    try:
        return ask(connection, path, body)
    finally:
        connection.close()


def _raw(host: str, port: int, sent: bytes, wait: float = 20) -> Answer:
    """What is answered to bytes; 0 where the connection is closed without an answer."""
    answer = b""
    with socket.create_connection((host, port), timeout=wait) as connection:
        try:
            connection.sendall(sent)
            while part := connection.recv(1 << 16):
                answer += part
        except ConnectionError:
            pass
    return (int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0), answer


KINDS: dict[Callable[..., Answer], float] = {
    damaged_file: 0.6,
    wrong_fields: 0.14,
    broken_form: 0.1,
    strange_address: 0.06,
    broken_head: 0.08,
    slow_body: 0.02,
}


def measure_hostile(requests: int, clients: int, options: list[str], seed: int) -> dict:
    """Answers by kind of request and status, and those that are no clean refusal."""
    files, numbers, turn = samples(), itertools.count(), threading.Lock()
    statuses: dict[str, Counter] = {kind.__name__: Counter() for kind in KINDS}
    failures: list[str] = []
    told = [str(ROOT), tempfile.gettempdir() + "/ecgclip-", "Traceback", "site-packages", str(Path.home()) + "/"]

    def client(host: str, port: int) -> None:
        while (number := next(numbers)) < requests:
            rng = random.Random(seed * 1_000_000 + number)
            (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
            try:
                status, content = kind(host, port, rng, files)
            except OSError as error:
                status, content = -1, repr(error).encode()
            unclean = status >= 500 and status != 503 or status < 0 or any(path.encode() in content for path in told)
            with turn:
                statuses[kind.__name__][str(status or "closed")] += 1
                if unclean:
                    failures.append(f"{number} {kind.__name__}: {status} {content[:300]!r}")

    with running(*options) as (host, port, process):
        before, start = memory_mb(process.pid), time.perf_counter()
        threads = [threading.Thread(target=client, args=(host, port)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - start
        alive = process.poll() is None and _asked(host, port, "/api/classify", form([], {"example": "af"}))[0] == 200
        after = memory_mb(process.pid)
    return {
        "requests": requests,
        "clients": clients,
        "seconds": round(seconds, 1),
        "answers": {name: dict(sorted(counts.items())) for name, counts in statuses.items()},
        "failures": failures,
        "still_answers": alive,
        "memory_before_mb": before,
        "memory_after_mb": after,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hostile", action="store_true", help="hostile requests instead of load")
    parser.add_argument("--requests", type=int, help="default: 5,000; hostile 2,000")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0, help="of the hostile requests")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("options", nargs="*", help="of ecgclip serve, after --")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server is ended, too
    if args.hostile:
        found = measure_hostile(args.requests or 2000, args.clients, args.options, args.seed)
    else:
        found = measure_load(args.requests or 5000, args.clients, args.options)
    out = {"code_version": code_version(), "cores": os.cpu_count(), **found}
    print(json.dumps(out, indent=1))
    if args.output:
        write_json(args.output, out)
    if args.hostile and (found["failures"] or not found["still_answers"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
