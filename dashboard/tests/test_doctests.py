"""The examples in the docstrings of the dashboard give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import dashboard

MODULES = [
    module.name
    for module in pkgutil.walk_packages(dashboard.__path__, "dashboard.")
    if not module.name.startswith(("dashboard.tests", "dashboard.__main__"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_are_right(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_are_found():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 5
