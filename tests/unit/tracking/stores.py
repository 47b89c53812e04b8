"""A store on loopback that answers, refuses, is busy or says nothing, as a test wants."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXPERIMENT = {"experiment_id": "7", "name": "sparknlp_ft", "artifact_location": "/a", "lifecycle_stage": "active"}


class FakeStore:
    """What MLflow's client asks of a server for one experiment and the metrics of a run.

    Attributes:
        mode: 'up'; 'busy': error 503; 'silent': it takes requests and never answers them.
        recover: Requests after which it is up again; None: never by itself.
    """

    def __init__(self) -> None:
        self.mode, self.recover = "up", None
        self.asked: list[str] = []
        self.metrics: list[dict] = []
        self.woken = threading.Event()
        store = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                store.asked.append(self.path.partition("?")[0])
                if store.recover is not None and len(store.asked) > store.recover:
                    store.mode = "up"
                if store.mode == "silent":
                    store.woken.wait(60)
                    return
                answer = store.answer(self.path, json.loads(body or b"{}"))
                self.send_response(503 if store.mode == "busy" else 200)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            do_GET = do_POST = handle_any

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def answer(self, path: str, body: dict) -> dict:
        if self.mode == "up" and "log-batch" in path:
            self.metrics += body.get("metrics", [])
        return {"experiment": EXPERIMENT} if "get-by-name" in path else {}

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def fake_store() -> Iterator[FakeStore]:
    """Give a store that is up, for the time of a block."""
    store = FakeStore()
    thread = threading.Thread(target=store.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield store
    finally:
        store.woken.set()
        store.server.shutdown()
        thread.join()
        store.server.server_close()


def closed_port() -> int:
    """Return a port of loopback that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
