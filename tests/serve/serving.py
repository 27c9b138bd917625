"""A server in a thread, for a stub application, or as a process of its own for the real one."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "examples" / "records"
PROGRAM = """
import json, sys
from ecgclip import load_model
from ecgclip.index import ECGIndex
from ecgclip.serve import Limits, serve
model, index, options, limits = json.loads(sys.argv[1])
model = load_model(model)
serve(model, ECGIndex.open(index, model) if index else None, limits=Limits(**limits), port=0,
      started=lambda address: print(address, flush=True), **options)
"""


class Server:
    """A running server: its client, its process, and the folder that it may write temporary files to."""

    def __init__(self, process, address, temporary):
        self.process, self.address, self.temporary = process, address, temporary
        self.client = httpx.Client(base_url=address.partition("?")[0], timeout=60)

    def post(self, path, *names, **fields):
        """Ask with files of the examples, by name, and fields."""
        files = [("files", (name, (RECORDS / name).read_bytes())) for name in names]
        return self.client.post(f"/api/{path}", files=files or None, data=fields)

    def sent(self, content, name="record.bin", path="classify", **fields):
        """Ask with one file."""
        return self.client.post(f"/api/{path}", files=[("files", (name, content))], data={"labels": "AF", **fields})


@contextmanager
def serving(model, temporary, index=None, options=None, **limits):
    """Start a server as a process, and end it as Ctrl-C does."""
    arguments = json.dumps([str(model), index and str(index), options or {}, limits])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", PROGRAM, arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    assert address, process.stderr.read()
    server = Server(process, address, temporary)
    try:
        yield server
    finally:
        server.client.close()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stdout.close()
        process.stderr.close()


@contextmanager
def stub_server(app, limits):
    """An application behind the protocol of the server, in a thread; gives the port."""
    import uvicorn

    from ecgclip.serve.run import config_of

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config_of(app, limits))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def talk(port, *parts, pause=0.0, wait=5.0):
    """Send parts of bytes with pauses between, and return all that is answered until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        answer = b""
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            while part := connection.recv(65536):
                answer += part
        except (BrokenPipeError, ConnectionResetError):
            pass
        return answer


def finished(coroutine):
    """What a coroutine returns: in a thread of its own, as Playwright's loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
