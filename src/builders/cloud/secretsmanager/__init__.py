"""Secrets Manager.

secrets.py   version stages as AWS keeps them, generated passwords, ARNs, attachments
policies.py  resource policies
rotation.py  rotations that call their function: RotateSecret, CancelRotateSecret, RotationSchedule
"""
