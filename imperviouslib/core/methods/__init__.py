"""The methods by which the table's figures are made: one file a method, found by itself.

To add one, write a module here with a subclass of `Method` marked `@register`, and give its code an entry in `methods` and in the code
list `method` of the table's schema. Nothing else names a method.
"""

from __future__ import annotations

import importlib
import pkgutil

from imperviouslib.core.mapkinds import MapKind
from imperviouslib.core.methods.base import METHODS, ClassRule, Method, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def methods_for(kind: MapKind) -> tuple[Method, ...]:
    """Return the methods that can work from a kind of yearly maps, the least preferred first."""
    return tuple(method for method in known_methods() if isinstance(kind, method.needs))


def known_methods() -> tuple[Method, ...]:
    """Return all methods, the least preferred first."""
    return tuple(sorted(METHODS.values(), key=lambda method: method.facts.rank, reverse=True))


__all__ = ["METHODS", "ClassRule", "Method", "known_methods", "methods_for", "register"]
