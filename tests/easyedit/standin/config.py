"""What Hydra does for the real scripts: ``key=value`` arguments, values read as YAML."""

import sys

import yaml


def read():
    from steer.utils import Config

    return Config({key: yaml.safe_load(value) for key, value in (arg.split("=", 1) for arg in sys.argv[1:])})
