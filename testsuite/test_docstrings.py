"""The examples in the docstrings of core and of the dashboard are right."""

import builtins
import doctest
import importlib
import pkgutil

import pytest

import dashboard
import imperviouslib.core

MODULES = [
    module.name
    for package in (imperviouslib.core, dashboard)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if ".tests" not in module.name and not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_are_right(name, monkeypatch):
    # Showing a result sets builtins._, which is GRASS's function of translation for the tests that follow.
    monkeypatch.setattr(builtins, "_", None, raising=False)
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_are_found():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name)) if test.examples]
    assert len(found) >= 50
