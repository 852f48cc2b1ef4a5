"""What the commands of `rollout-stacksets` do; `command.py` beside this folder is how they are called."""
