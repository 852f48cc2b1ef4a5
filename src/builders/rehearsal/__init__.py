"""The demo and the rehearsal of a rollout: users of the commands, from outside, on the embedded cloud."""
