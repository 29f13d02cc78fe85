"""The settings of each tool: one frozen dataclass per tool, parsed once from what g.parser gives.

Each module holds one dataclass with `parse(options, flags)`. Nothing else reads an option's text: a stage's `main` parses and hands the
value on. A setting that needs the session (a region, a map, a file) stays a name here; the stage resolves it.
"""
