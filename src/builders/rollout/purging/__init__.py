"""What a removal leaves behind, by DeletionPolicy or because its account let nobody in, and how it goes.

left.py        which resources of a stack stay when it is deleted, and what takes each away. Pure
ledger.py      what is to be purged, in the artifacts bucket: written before the removal begins
noting.py      looks at every stack of the phase before it is removed
purging.py     deletes what was noted, once its stack is gone and a person said so
deleting.py    one resource, by its type
letting_go.py  instances of accounts that left, or that are INOPERABLE, as steps. Pure
"""
