"""Tests of judges that are not every judge's: what they ask, what they read, what they keep."""
