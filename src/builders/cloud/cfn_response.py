"""The module that Lambda adds to functions whose code stands in the template, for answers to CloudFormation.

Source: CloudFormation user guide, "cfn-response module": it comes with ZipFile only; `cfnresponse` in Python, whose
`send` takes what is below, and `cfn-response` in Node.js, whose `send` takes the same but `reason`. The code is ours.
"""

from __future__ import annotations

import io
import zipfile

PYTHON = """\
import json
import urllib.request

SUCCESS, FAILED = "SUCCESS", "FAILED"


def send(event, context, responseStatus, responseData, physicalResourceId=None, noEcho=False, reason=None):
    body = {
        "Status": responseStatus,
        "Reason": reason or "See the details in CloudWatch Log Stream: {}".format(context.log_stream_name),
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "NoEcho": noEcho,
        "Data": responseData,
    }
    text = json.dumps(body)
    print("Response body:")
    print(text)
    request = urllib.request.Request(
        event["ResponseURL"], data=text.encode(), method="PUT", headers={"content-type": ""}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            print("Status code:", answer.status)
    except Exception as error:
        print("send(..) failed executing the request:", error)
"""

NODE = """\
exports.SUCCESS = "SUCCESS";
exports.FAILED = "FAILED";
exports.send = function (event, context, responseStatus, responseData, physicalResourceId, noEcho) {
  return new Promise((resolve) => {
    const text = JSON.stringify({
      Status: responseStatus,
      Reason: "See the details in CloudWatch Log Stream: " + context.logStreamName,
      PhysicalResourceId: physicalResourceId || context.logStreamName,
      StackId: event.StackId,
      RequestId: event.RequestId,
      LogicalResourceId: event.LogicalResourceId,
      NoEcho: noEcho || false,
      Data: responseData,
    });
    const address = new URL(event.ResponseURL);
    const transport = require(address.protocol === "https:" ? "https" : "http");
    const headers = { "content-type": "", "content-length": Buffer.byteLength(text) };
    const done = () => { if (context.done) context.done(); resolve(); };
    const request = transport.request(address, { method: "PUT", headers }, (answer) => {
      answer.resume();
      answer.on("end", done);
    });
    request.on("error", (error) => { console.log("send(..) failed executing the request: " + error); done(); });
    request.end(text);
  });
};
"""


def add_to(package: bytes, runtime: str) -> bytes:
    """Return a package of inline code with the module beside it."""
    node = runtime.startswith("nodejs")
    name, text = ("node_modules/cfn-response/index.js", NODE) if node else ("cfnresponse.py", PYTHON)
    buffer = io.BytesIO(package)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        if name not in archive.namelist():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()
