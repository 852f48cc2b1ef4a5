"""A layer that plain stacks carry, in one wave: one stack of the network account for each place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping, Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from builders.errors import RolloutError
from builders.rollout import names
from builders.rollout.client.refusals import Unreachable
from builders.rollout.comparing import Kind, plain_kind
from builders.rollout.engine.context import Context
from builders.rollout.engine.report import Missed
from builders.rollout.model import Deployed, Place, PlainStacks, StackSet

AT_A_TIME = 16
"""Stacks under way at one time: they mostly wait for CloudFormation, and the client bounds the calls."""


class PlainLane:
    """A layer on its way through a wave. It needs no journal: deploying a stack again changes nothing."""

    def __init__(
        self, context: Context, layer: PlainStacks, there: Mapping[Place, Deployed], places: Collection[Place]
    ) -> None:
        self.layer = layer.layer
        self.over = False
        self.worked = False
        self.missed: dict[Place, Missed] = {}
        self._context = context
        self._stacks = layer
        self._places = sorted(places)
        self._there = there
        self._futures: dict[Future[None], Place] = {}
        self._done: SimpleQueue[Future[None]] = SimpleQueue()

    @property
    def reached(self) -> int:
        """How many places are what they shall be."""
        return len(self._places) - sum(not each.held for each in self.missed.values())

    def begin(self, needed: Iterable[StackSet | None], moved: AbstractSet[Place]) -> None:
        """Deploy what differs. `needed` are the sets whose outputs fill parameters; `moved` places had them changed."""
        pool = ThreadPoolExecutor(AT_A_TIME)
        sets = [each for each in needed if each is not None]
        moved = moved & self._stacks.parameters.keys()
        for place in self._places:
            left = plain_kind(self._stacks, self._there.get(place), place)
            if left is Kind.DELETE:
                self._futures[pool.submit(self._delete, place)] = place
            elif left is not Kind.NOTHING or place in moved:
                self._futures[pool.submit(self._deploy, place, sets)] = place
        for future in self._futures:
            future.add_done_callback(self._done.put)
        self.worked = bool(self._futures)
        self._context.watch.places(self.layer, dict.fromkeys(self._futures.values(), "RUNNING"))
        pool.shutdown(wait=False)

    def advance(self) -> None:
        """Collect what has ended. Raises `Unreachable`, and whatever is no error of one place."""
        while not self._done.empty():
            future = self._done.get()
            place = self._futures.pop(future)
            word = "CURRENT"
            try:
                future.result()
            except Unreachable:
                raise
            except RolloutError as error:
                self.missed[place] = Missed(self.layer, place, str(error))
                word = "FAILED"
            if place in self._stacks.parameters or word == "FAILED":
                self._context.watch.places(self.layer, {place: word})
        self.over = not self._futures

    def _deploy(self, place: Place, needed: Iterable[StackSet]) -> None:
        declared = json.loads(self._stacks.template).get("Parameters", {})
        values = dict(self._stacks.parameters[place])
        for state in needed:
            instance = state.instances.get(place)
            if instance is not None:
                outputs = self._context.members.outputs(place, instance.stack_id)
                values |= {name: value for name, value in outputs.items() if name in declared and name not in values}
        missing = [name for name, each in declared.items() if name not in values and "Default" not in each]
        if missing:
            raise RolloutError(
                f"{self.layer} at {place} lacks {', '.join(missing)}, which no stack of the place puts out; "
                "`rollout-stacksets status` tells which layers stand"
            )
        complete = dataclasses.replace(self._stacks, parameters={place: values})
        if plain_kind(complete, self._there.get(place), place) is Kind.NOTHING:
            return  # what it follows was updated, and put out the same as before
        self._context.plain.deploy(
            self._stacks.account,
            place.region,
            names.plain_stack(self.layer, self._context.wanted.suffix, place),
            self._stacks.template,
            values,
            self._context.wanted.tags,
        )

    def _delete(self, place: Place) -> None:
        name = names.plain_stack(self.layer, self._context.wanted.suffix, place)
        self._context.plain.delete(self._stacks.account, place.region, name)
