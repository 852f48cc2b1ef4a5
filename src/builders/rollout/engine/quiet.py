"""Baking: time passes, and the alarms of a wave must stay quiet before the next wave begins."""

from __future__ import annotations

from collections.abc import Collection

from builders.rollout.engine.context import Context
from builders.rollout.model import Place, Wave

LOOK_SECONDS = 30.0


def bake(context: Context, wave: Wave, places: Collection[Place]) -> str:
    """Wait out a wave's time and return why the next one may not begin; empty when it may.

    An alarm whose actions are off waits for something that has not begun, such as the replication task: it is passed
    over.
    """
    end = context.clock.now() + wave.bake_seconds
    if wave.bake_seconds:
        context.watch.say(f"wave {wave.name}: baking for {wave.bake_seconds} s")
    while True:
        loud = _loud(context, wave, places)
        if loud:
            return f"wave {wave.name}: {loud}; see why, then resume or roll back"
        left = end - context.clock.now()
        if left <= 0:
            return ""
        context.clock.wait(min(LOOK_SECONDS, left))


def _loud(context: Context, wave: Wave, places: Collection[Place]) -> str:
    if not wave.quiet_alarms:
        return ""
    for place in sorted(places):
        for alarm in context.members.alarms(place, wave.quiet_alarms):
            if alarm.state == "ALARM" and alarm.actions_enabled:
                return f"alarm {alarm.name} at {place} is in ALARM"
    return ""
