"""Tests of the page of a folder of results."""
