"""Tests of the rollout; a package, since other folders have files of the same names."""
