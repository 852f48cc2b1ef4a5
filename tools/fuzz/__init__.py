"""Fuzzing: inputs that are meant badly, made of this repository's own files, and what may become of them.

__main__.py   the command, its counts, and the inputs that failed, to be replayed
mutation.py   mutations of data and of text, by a source of random numbers
subjects.py   everything that reads an input: files, templates, saved plans, outputs, journals
functions.py  the functions: events and secrets
"""
