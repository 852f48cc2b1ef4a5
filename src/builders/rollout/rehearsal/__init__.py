"""The rollout of rollout.yaml on the embedded cloud, with pretend accounts and the very commands that real runs use.

overlay.py   the rollout file as it is rehearsed: limited, without waiting, with sources that are here
accounts.py  the pretend accounts and the role that a company's would have; sources.py: what phases migrate from
organization.py  made-up units, where phases name some
world.py     all of that on one embedded cloud
calling.py   calls a command, here or in a process of its own
snapshot.py  a phase as the services describe it
troupe.py    what the acts play with
stage.py     an act: what is expected, what came
acts/        the acts; script.py: their order
report.py    what it came to
"""

from builders.rollout.rehearsal.running import run

__all__ = ["run"]
