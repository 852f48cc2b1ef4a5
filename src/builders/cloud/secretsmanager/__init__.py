"""Secrets Manager: version stages as AWS keeps them, and rotations that call their function.

secrets.py   secrets, their versions and stages
rotation.py  rotation, step by step
"""
