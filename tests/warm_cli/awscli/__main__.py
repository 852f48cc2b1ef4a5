"""Has a command run by the server of tests/aws_cli.py, and ends as it did."""

from __future__ import annotations

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rw") as stream:
    connection.connect(os.environ["WARM_AWS_CLI"])
    order = {"arguments": sys.argv[1:], "environment": dict(os.environ), "directory": os.getcwd()}
    print(json.dumps(order), file=stream, flush=True)
    answer = json.loads(stream.readline())
sys.stdout.write(answer["stdout"])
sys.stdout.flush()
sys.stderr.write(answer["stderr"])
sys.exit(answer["code"])
