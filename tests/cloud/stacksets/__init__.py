"""Tests of StackSets and Organizations on the embedded cloud."""
