"""Tests, the made world, the demo and the benchmarks of r.impervious."""

import re
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
TOOLS = tuple(re.search(r"^SUBDIRS = (.+)$", (TOP / "Makefile").read_text(encoding="utf-8"), re.M)[1].split())
"""The tools, in the order of the chain, as the Makefile lists them."""
