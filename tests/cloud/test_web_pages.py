"""A web page in a browser on this machine gets nothing from the embedded cloud, whatever it tries."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.cloud.process import Cloud

ROLE = b"Action=CreateRole&Version=2010-05-08&RoleName=%s&AssumeRolePolicyDocument=%%7B%%7D"
FORM = "application/x-www-form-urlencoded"
PAGES = ("/", "/_stackferry/ca.pem", "/_stackferry/status.json", "/_stackferry/faults", "/_ministack/health")


def asked(cloud: Cloud, head: str, body: bytes = b"") -> tuple[int, str]:
    """The status and the whole answer to a request that is sent as it stands; `{port}` is the server's."""
    lines = head.replace("{port}", str(cloud.port)).split("\n")
    request = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]).encode() + body
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=30) as connection:
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            text = answer.read().decode(errors="replace")
    return int(text.split()[1]), text


@pytest.mark.parametrize("path", PAGES)
def test_a_program_of_this_machine_is_answered(cloud: Cloud, path: str) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST", "bucket.s3.localhost"):
        status, text = asked(cloud, f"GET {path} HTTP/1.1\nHost: {name}:{{port}}\nSec-Fetch-Site: none")
        assert status != 403
        assert "access-control" not in text.lower()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "head",
    [
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: http://pages.test",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: null",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: http://127.0.0.1:{port}",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nSec-Fetch-Site: cross-site",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nSec-Fetch-Site: same-origin",
        "GET {path} HTTP/1.1\nHost: pages.test:{port}",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1.pages.test:{port}",
        "GET {path} HTTP/1.1\nHost: localhost.pages.test:{port}",
        "GET {path} HTTP/1.1\nHost: notlocalhost:{port}",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:1",
        "GET {path} HTTP/1.1\nHost: [::1]:{port}",
        "GET {path} HTTP/1.1\nHost: user@127.0.0.1:{port}",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}@pages.test",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1.:{port}",
        "GET {path} HTTP/1.1\nHost: localhost.:{port}",
        "GET {path} HTTP/1.1\nHost: 2130706433:{port}",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}, pages.test",
        "GET {path} HTTP/1.1\nHost: bucket.s3.localhost:{port}\nOrigin: http://pages.test",
        "GET {path} HTTP/1.1\nHost: pages.s3-website-us-east-1.amazonaws.com",
        "GET {path} HTTP/1.1\nHost: pages.us-east-1.elb.amazonaws.com",
        "GET {path} HTTP/1.1\nHost: dms.us-east-1.amazonaws.com\nSec-Fetch-Site: cross-site",
        "GET {path} HTTP/1.0\nHost: pages.test:{port}",
        "GET {path} HTTP/1.1\nHost: 0.0.0.0:{port}",
        "GET {path} HTTP/1.1\nHost:",
        "GET {path} HTTP/1.0",
        "GET http://pages.test{path} HTTP/1.1\nHost: 127.0.0.1:{port}",
        "OPTIONS {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: http://pages.test\n"
        "Access-Control-Request-Method: PUT\nAccess-Control-Request-Headers: x-amz-target",
        "GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: http://pages.test\nUpgrade: websocket\n"
        "Connection: Upgrade\nSec-WebSocket-Key: c3RhY2tmZXJyeS1jbG91ZA==\nSec-WebSocket-Version: 13",
    ],
)
def test_whatever_a_page_can_send_is_refused(cloud: Cloud, head: str, path: str) -> None:
    status, text = asked(cloud, head.replace("{path}", path))
    assert (status, "access-control" in text.lower()) == (403, False)


@pytest.mark.parametrize("head", ["GET / HTTP/1.1\nHost: 127.0.0.1:{port}\nHost: pages.test", "GET / HTTP/1.1"])
def test_two_hosts_or_none_are_refused(cloud: Cloud, head: str) -> None:
    assert asked(cloud, head)[0] in (400, 403)


@pytest.mark.parametrize("path", PAGES)
def test_a_target_that_is_a_whole_address_is_refused(cloud: Cloud, path: str) -> None:
    for name in ("127.0.0.1:{port}", "pages.test"):
        assert asked(cloud, f"GET http://{name}{path} HTTP/1.1\nHost: 127.0.0.1:{{port}}")[0] == 403


@pytest.mark.parametrize("length", ["", "\nContent-Length: 5"], ids=["chunked", "both"])
def test_a_request_that_is_hidden_in_anothers_body_is_looked_at_as_well(cloud: Cloud, length: str) -> None:
    """Where a length and chunks contradict each other, there is one reading, or none."""
    hidden = f"POST / HTTP/1.1\r\nHost: pages.test\r\nContent-Type: {FORM}\r\nContent-Length: {{}}\r\n\r\n"
    inner = hidden.format(len(ROLE % b"hidden")).encode() + ROLE % b"hidden"
    head = f"POST / HTTP/1.1\nHost: 127.0.0.1:{cloud.port}\nTransfer-Encoding: chunked{length}\n\n".replace(
        "\n", "\r\n"
    )
    with socket.create_connection(("127.0.0.1", cloud.port), timeout=30) as connection:
        connection.sendall(head.encode() + b"0\r\n\r\n" + inner)
        with connection.makefile("rb") as answer:
            text = answer.read().decode()
    assert "HTTP/1.1 403 " in text or text.count("HTTP/1.1 ") == 1
    own = f"POST / HTTP/1.1\nHost: 127.0.0.1:{{port}}\nContent-Type: {FORM}"
    assert "<RoleName>hidden<" not in asked(cloud, own, b"Action=ListRoles&Version=2010-05-08")[1]


def test_a_form_of_a_page_makes_no_role(cloud: Cloud) -> None:
    """A page can post a form without asking first, which is how the APIs of IAM and EC2 are called."""
    head = "POST / HTTP/1.1\nHost: 127.0.0.1:{port}\nContent-Type: " + FORM
    assert asked(cloud, head, ROLE % b"program")[0] == 200
    status, _ = asked(cloud, f"{head}\nOrigin: http://pages.test", ROLE % b"page")
    assert status == 403
    _, roles = asked(cloud, head, b"Action=ListRoles&Version=2010-05-08")
    assert ("<RoleName>program<" in roles, "<RoleName>page<" in roles) == (True, False)


BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PAGE = """<form id=form method=post enctype=application/x-www-form-urlencoded target=frame
action="http://127.0.0.1:{port}/"><input name=Action value=CreateRole><input name=Version value=2010-05-08>
<input name=RoleName value=form><input name=AssumeRolePolicyDocument value="{}"></form><iframe name=frame></iframe>
<script>
document.getElementById("form").submit();
const ask = (name, options) => fetch("http://127.0.0.1:{port}/_stackferry/" + name, options).then(
  answer => answer.text().then(text => name + " " + answer.status + " " + text.length), () => name + " unreadable");
Promise.all([ask("status.json"), ask("ca.pem", {mode: "no-cors"}),
  ask("faults", {method: "PUT", body: "[{\\"kind\\": \\"hang\\"}]"})]).then(
  found => setTimeout(() => { document.title = "over"; document.body.append(found.join("; ")); }, 500));
</script>"""


@pytest.fixture
def page(cloud: Cloud) -> Iterator[str]:
    """The address of a web page that attacks the server."""
    body = PAGE.replace("{port}", str(cloud.port)).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed; Debian's package is chromium")
def test_a_page_in_a_real_browser_gets_nothing(cloud: Cloud, page: str, tmp_path: Path) -> None:
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server", f"--user-data-dir={tmp_path}"]
    found = subprocess.run(
        [str(BROWSER), *arguments, "--virtual-time-budget=20000", "--dump-dom", page],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert "status.json unreadable; ca.pem unreadable; faults unreadable" in found.stdout or (
        "status.json unreadable; ca.pem 0 0; faults unreadable" in found.stdout
    )
    assert cloud.set_faults() == []
    head = "POST / HTTP/1.1\nHost: 127.0.0.1:{port}\nContent-Type: application/x-www-form-urlencoded"
    assert "<RoleName>form<" not in asked(cloud, head, b"Action=ListRoles&Version=2010-05-08")[1]
