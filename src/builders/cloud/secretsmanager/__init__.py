"""Secrets Manager: version stages as AWS keeps them, and rotations that call their function."""
