"""What StackSets cannot carry, as plain stacks: of the tooling and the network account, and once in each account.

    planning.py   which stacks, with which values, in which rounds; pure but for the parameter files
    running.py    deploys them round by round, accounts side by side, and tells what came of each
    standing.py   what the shared stacks have put out, for plan and apply

Nothing is written down: deploying a stack again changes nothing, so a second run is the way on after a failure.
"""

from builders.rollout.bootstrap.planning import ROUNDS, PlainStep, plan, routes
from builders.rollout.bootstrap.running import Outcome, State, run
from builders.rollout.bootstrap.standing import shared

__all__ = ["ROUNDS", "Outcome", "PlainStep", "State", "plan", "routes", "run", "shared"]
