"""How a function resolves names: this text is put before the code that ministack runs functions with.

It uses the standard library only, since a function's interpreter finds nothing else of ours.
"""

import json
import os
import pathlib
import socket

VARIABLE = "STACKFERRY_VPC_NAMES"
"""Names the folder of the map: <account>/*.json and everywhere/*.json, each {name: {port: port on this machine}}."""

_LOCAL = ("localhost", "127.0.0.1", "::1")
_CLOSED_PORT = 1


def install() -> None:
    """Let the process resolve the names of the map, this machine's own, and addresses; nothing else."""
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    account = os.environ["_LAMBDA_FUNCTION_ARN"].split(":")[4]
    before = socket.getaddrinfo

    def getaddrinfo(host, port, *arguments, **options):  # type: ignore[no-untyped-def]
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name in _LOCAL:
            return before(host, port, *arguments, **options)
        for place in (account, "everywhere"):
            for file in sorted(pathlib.Path(folder, place).glob("*.json")):
                ports = json.loads(file.read_text(encoding="utf-8")).get(name.lower().rstrip("."))
                if ports is not None:
                    return before("127.0.0.1", ports.get(str(port), _CLOSED_PORT), *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    socket.getaddrinfo = getaddrinfo
