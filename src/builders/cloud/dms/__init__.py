"""The API of DMS over the records that CloudFormation makes: describe, test connections, start, stop, modify.

    api.py          the operations, what IAM has to know of a request, and the way that requests take to them
    describing.py   records of CloudFormation as DMS describes them: filters, pages, markers
    tasks.py        the life of a task: ready, starting, running, stopping, stopped, failed; its events and progress
    connections.py  the tests of endpoints, which a task's start asks for
    faults.py       the errors of the API by name

Nothing is replicated. Tasks, instances and endpoints come from CloudFormation alone; Create and Delete operations are
not offered.
"""
