"""The library of r.impervious: rules in core, outsiders in edge, one recipe a tool in stage."""

__version__ = "0.1.0"
