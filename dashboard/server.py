"""The Shiny server: it writes the parts of the page that are text about the chosen measure, and reads the lists of the page.

The browser draws everything that depends on region or time from the routes (routes.py), because it repaints a year in a few
milliseconds, also without a connection. A message to a session costs about 8 ms of CPU here, so sessions carry only these texts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from htmltools import HTML, TagList
from shiny import Inputs, Outputs, Session, reactive, render

from dashboard.state import PARAMETERS, State, parse_query
from dashboard.table import Table
from dashboard.views.about import method_and_sources
from dashboard.views.downloads import downloads as downloads_view
from dashboard.words import speaking


def make_server(table: Table) -> Callable[[Inputs, Outputs, Session], None]:
    """Return the Shiny server function, which renders the views of one session."""

    @lru_cache(maxsize=256)
    def rendered(view: Callable[..., TagList], state: State) -> HTML:
        # Rendered to text once, for all sessions with the same state. The tags have escaped all text.
        with speaking(state.language):
            return HTML(view(table, state).render()["html"])

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        @reactive.calc
        def state() -> State:
            lists = {"l": input.level(), **{key: input[column]() for column, key in PARAMETERS.items()}}
            lists["g"], lists["lang"] = input.regions(), input.language()
            return parse_query("&".join(f"{key}={value}" for key, value in lists.items()), table)

        @render.ui
        def downloads() -> HTML:
            return rendered(downloads_view, state())

        @render.ui
        def about() -> HTML:
            return rendered(method_and_sources, state())

    return server
