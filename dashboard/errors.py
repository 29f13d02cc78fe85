"""The error of a table folder that cannot be shown."""

from __future__ import annotations

WRITE_AGAIN = "Write the folder again with r.impervious.change."


class TableFolderError(Exception):
    """A table folder that cannot be shown.

    problem : sentence that names the file or column and says what is wrong
    advice : sentence that tells the user what to do
    """

    def __init__(self, problem: str, advice: str = WRITE_AGAIN) -> None:
        super().__init__(problem, advice)

    def __str__(self) -> str:
        """Return one line for the user."""
        return " ".join(self.args)
