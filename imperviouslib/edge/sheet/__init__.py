"""The labelling sheet: one HTML file with the pictures of a sample, in which an interpreter reads it without a server or a network.

The page is `sheet.html`, `sheet.css` and `sheet.js` beside this file, its words are `texts.json`; all are put into the one file as they are.
The page saves what core/readings.py describes. It contains the units with their places and pictures, and nothing else of the sample.
"""

from imperviouslib.core.readings import SheetUnit
from imperviouslib.edge.sheet.writer import CONTEXT, write_sheet

__all__ = ["CONTEXT", "SheetUnit", "write_sheet"]
