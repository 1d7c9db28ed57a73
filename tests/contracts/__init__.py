"""What everything that is registered has to keep: one module of checks for each registry, run over all of its names.

A check is a function that raises ``AssertionError`` (or the error that a user would see). The tests run it over the
registry, toys of the tests' own plugin package included, and then on a deliberately wrong entry that it must catch.
"""
