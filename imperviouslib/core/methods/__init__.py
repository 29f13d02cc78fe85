"""The methods by which the table's figures are made: one file a method, found by itself.

To add one, write a module here with a subclass of `Method` marked `@register`, and give its code an entry in `methods` and in the code
list `method` of the table's schema. Nothing else names a method.
"""

from __future__ import annotations

import importlib
import pkgutil

from imperviouslib.core.mapkinds import MapKind
from imperviouslib.core.methods.base import METHODS, ClassRule, Method, register
from imperviouslib.core.methods.sampled import DEFINITION as SAMPLE_DEFINITION

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def methods_for(kind: MapKind, *, sample: bool = False) -> tuple[Method, ...]:
    """Return the methods that can work from a kind of yearly maps, with or without a reference sample, the least preferred first."""
    usable = (method for method in known_methods() if isinstance(kind, method.needs))
    return tuple(method for method in usable if sample or not method.needs_sample)


def known_methods() -> tuple[Method, ...]:
    """Return all methods, the least preferred first."""
    return tuple(sorted(METHODS.values(), key=lambda method: method.facts.rank, reverse=True))


__all__ = ["METHODS", "SAMPLE_DEFINITION", "ClassRule", "Method", "known_methods", "methods_for", "register"]
