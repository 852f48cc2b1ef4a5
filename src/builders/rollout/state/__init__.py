"""What a rollout keeps in the artifacts bucket of its phase's first region, so that another machine can go on."""
