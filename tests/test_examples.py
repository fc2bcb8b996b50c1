"""The examples in docstrings say what comes out."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

from labelwise import flows, tasks

NAMES = [found.name for package in (tasks, flows) for found in walk_packages(package.__path__, f"{package.__name__}.")]


@pytest.mark.parametrize("name", NAMES)
def test_a_modules_examples(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
