"""The stored state of a phase, in the artifacts bucket, so that another machine can continue.

store.py          everything stored of a phase, the override cache too
journal.py        the journal of runs, which is the lock of the phase
releases.py       releases, stored by content
serialization.py  values as JSON objects in the bucket
"""
