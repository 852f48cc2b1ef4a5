"""CloudFormation's end of a custom resource: the URL that answers are put to, and the events that it sends."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

STACK = "arn:aws:cloudformation:us-east-1:111111111111:stack/database-users-dev/5f0c"


class Bucket:
    """Takes answers, after as many failures as `statuses` lists, each an HTTP status; None hangs up without one."""

    def __init__(self) -> None:
        self.statuses: list[int | None] = []
        self.bodies: list[bytes] = []
        self.content_types: list[str | None] = []
        self.url = ""

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    def event(self, kind: str = "Create", **more: Any) -> dict[str, Any]:
        return {"RequestType": kind, "ResponseURL": self.url, "StackId": STACK, "RequestId": "request",
                "LogicalResourceId": "DmsUser", "ResourceProperties": {}, **more}  # fmt: skip


class Context:
    """Lambda's context with a fixed time left."""

    def __init__(self, seconds: float = 25) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@contextlib.contextmanager
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = bucket.statuses.pop(0) if bucket.statuses else 200
            if status is None:
                self.close_connection = True
                return
            if status == 200:
                bucket.bodies.append(body)
                bucket.content_types.append(self.headers["Content-Type"])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    bucket.url = f"{endpoint}/answer?signature=x"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", endpoint)  # as the embedded cloud gives it to functions
        yield bucket
    server.shutdown()
    server.server_close()
    thread.join()
