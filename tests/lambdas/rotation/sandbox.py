"""The program behind function.Function: reads orders, forks, runs the handler, reports how it ended."""

from __future__ import annotations

import gc
import importlib
import io
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from typing import Any

import botocore_speed
from botocore.awsrequest import AWSResponse


class Context:
    """Lambda's context, as far as the function uses it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


def main(reply_path: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    index: Any = importlib.import_module("index")
    botocore_speed.apply()
    _warm_up(index._client("secretsmanager"))
    importlib.import_module("encodings.idna")  # by a first connection
    gc.disable()  # a child lives for one invocation; to search it for garbage would copy pages, too
    gc.freeze()
    for line in sys.stdin:
        if os.fork() == 0:
            _run(index.handler, json.loads(line), reply_path)


def _warm_up(client: Any) -> None:
    """Let boto3 load all that first calls of operations load, without a connection that forks would share."""

    def answer(request: Any, **_: Any) -> AWSResponse:
        return AWSResponse(request.url, 200, {}, BytesIO(b"{}"))

    client.meta.events.register("before-send", answer)
    client.describe_secret(SecretId="none")
    client.get_secret_value(SecretId="none")
    client.put_secret_value(SecretId="none", SecretString="none")
    client.update_secret_version_stage(SecretId="none", VersionStage="none")
    client.meta.events.unregister("before-send", answer)


class BytesIO(io.BytesIO):
    """An answer's body as urllib3 would stream it."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


def _run(handler: Any, order: dict[str, Any], reply_path: str) -> None:
    reply = socket.socket(socket.AF_UNIX)
    reply.connect(reply_path)
    reply.sendall(f"{os.getpid():16d}".encode())
    with tempfile.TemporaryFile() as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
        os.environ.update(order["settings"])
        logging.basicConfig(stream=sys.stdout, level=os.environ.get("LOG_LEVEL", "WARNING"))
        started = time.monotonic()
        error, message = None, ""
        try:
            handler(order["event"], Context(order["seconds"]))
        except Exception as failure:
            error, message = type(failure).__name__, str(failure)
            traceback.print_exc()
        seconds = time.monotonic() - started
        sys.stdout.flush()
        sys.stderr.flush()
        output.seek(0)
        text = output.read().decode()
    reply.sendall(json.dumps({"error": error, "message": message, "output": text, "seconds": seconds}).encode())
    reply.close()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
