"""A third party's package: what it adds is found through its entry points alone, as of any installed package."""
