"""Has a command run by the server of tests/aws_cli.py and ends as it did, or becomes the CLI itself."""

from __future__ import annotations

import json
import os
import socket
import sys

cold = os.environ.get("COLD_AWS_CLI")
if cold and cold in " ".join(sys.argv):
    path = os.pathsep.join(os.environ["PYTHONPATH"].split(os.pathsep)[1:])
    os.execve(sys.executable, [sys.executable, "-m", "awscli", *sys.argv[1:]], {**os.environ, "PYTHONPATH": path})
with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as stream:
    connection.connect(os.environ["WARM_AWS_CLI"])
    order = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
    print(json.dumps(order), file=stream, flush=True)
    answer = json.loads(stream.readline())
sys.stdout.write(answer["stdout"])
sys.stdout.flush()
sys.stderr.write(answer["stderr"])
sys.exit(answer["code"])
