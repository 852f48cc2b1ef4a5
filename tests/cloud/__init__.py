"""Tests of the embedded cloud; a package, since other folders have files of the same names."""
