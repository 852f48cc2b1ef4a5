"""The command line of `rollout-stacksets`."""
