"""Tests, the made world, the demo and the benchmarks of r.impervious."""

from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
TOOLS = ("r.s2.fetch", "r.s2.yearly", "r.s2.ard", "r.unet.train", "r.unet.predict", "r.impervious.change")
