"""The form of the message with which a tool refuses its input; tests of bad inputs check it here."""

import re
from dataclasses import dataclass

STEPS = (
    "Add", "Align", "Check", "Choose", "Complete", "Convert", "Copy", "Correct", "Create", "End", "Export", "Fetch", "Give", "Import", "Leave", "Join", "List", "Make",
    "Name", "Put", "Read", "Remove", "Rename", "Renew", "Replace", "Report", "Rescale", "Resample", "Run", "Set", "Sort", "Take", "Train", "Try", "Use", "Warp", "Widen", "Write",
)  # fmt: skip
"""Words with which a next step may begin: an instruction to the user."""
_COMPARISON = re.compile(
    r"(?P<thing>[A-Z0-9].*?): found (?P<found>.+?), expected (?P<expected>.+?)\. (?P<then>[A-Z][a-z]+ .+\.)"
)
# A statement may be several sentences.
_STATEMENT = re.compile(rf"(?P<thing>[A-Z0-9].*?)\. (?P<then>(?:{'|'.join(STEPS)}) .+\.)")


@dataclass(frozen=True)
class Refusal:
    """The parts of a message: what was found and what was expected, or one statement (both None), and the next step."""

    line: str
    thing: str
    then: str
    found: str | None = None
    expected: str | None = None


def joined(stderr):
    """Undo the folding of GRASS's messages."""
    return " ".join(stderr.split())


def parse_refusal(stderr):
    """Return the one message of a refused run; it has one of the two forms, in one line, and its next step is an instruction."""
    said = joined(stderr)
    assert said.count("ERROR: ") == 1, said
    line = said.partition("ERROR: ")[2]
    match = _COMPARISON.fullmatch(line) or _STATEMENT.fullmatch(line)
    assert match, line
    refusal = Refusal(line, **match.groupdict())
    assert refusal.then.split()[0] in STEPS, line
    assert "  " not in line and ".." not in line.replace("...", ""), line
    return refusal
