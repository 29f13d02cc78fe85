"""A form for QGIS, so that the sample can be read there with lists in place of typed numbers.

QGIS loads it with "Load Style" into a layer whose fields have the names of the columns of the readings (core/readings.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from imperviouslib.core.errors import _
from imperviouslib.core.readings import CERTAINTIES, READINGS

_NULL = "{2839923C-8B7D-419E-B84B-CA2FE9B80EC7}"
"""What QGIS writes for NULL in a list of values."""


def format_qgis_form(years: Sequence[int]) -> str:
    """Write a style file (QML) that has only the form: a list for each year, for certainty and for reading."""
    states = {_("cannot be told"): _NULL, _("not sealed"): "0", _("sealed"): "1"}
    lists = {str(year): states for year in years}
    lists["certainty"] = {_("not read"): _NULL, **{name: name for name in CERTAINTIES}}
    lists["reading"] = {str(number): str(number) for number in READINGS}
    root = ElementTree.Element("qgis", version="3.22", styleCategories="Fields|Forms")
    fields = ElementTree.SubElement(root, "fieldConfiguration")
    for field, values in lists.items():
        widget = ElementTree.SubElement(
            ElementTree.SubElement(fields, "field", name=field), "editWidget", type="ValueMap"
        )
        option = ElementTree.SubElement(ElementTree.SubElement(widget, "config"), "Option", type="Map")
        entries = ElementTree.SubElement(option, "Option", name="map", type="List")
        for title, value in values.items():
            entry = ElementTree.SubElement(entries, "Option", type="Map")
            ElementTree.SubElement(entry, "Option", name=title, type="QString", value=value)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode") + "\n"
