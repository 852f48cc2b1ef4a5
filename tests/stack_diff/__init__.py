"""Tests of the comparison of two versions of one stack; a package, as other folders of tests are."""
