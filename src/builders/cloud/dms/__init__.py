"""The API of DMS over the records that CloudFormation makes: describe, test connections, start, stop, modify.

    faults.py       what DMS refuses with, by name
    listing.py      how a Describe operation answers: filters, pages, markers
    describing.py   records of CloudFormation as DMS describes them
    tasks.py        the life of a task: ready, starting, running, stopping, stopped, failed; its events
    connections.py  whether an instance reaches an endpoint, which a task's start asks
    driving.py      what a test decides about a task: progress, tables, failures
    authorization.py  what IAM has to know of a request
    actions.py      the operations of the API, and the way that requests take to them

Nothing is replicated. Tasks, instances and endpoints come from CloudFormation alone; Create and Delete operations are
not offered. How a test drives a task is written in driving.py.
"""

from builders.cloud.dms.actions import install
from builders.cloud.dms.tasks import handlers

__all__ = ["handlers", "install"]
