"""The rollout of rollout.yaml on the embedded cloud, with pretend accounts and the code that real runs use."""
