"""rollout.yaml, environments/ and templates/ become the desired state of a phase."""
