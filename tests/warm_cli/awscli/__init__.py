"""Stands before the AWS CLI on the path of a process that tests start, and hands its commands to the warm one."""
