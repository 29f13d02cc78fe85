"""The Shiny server: it reads the state that the browser sends and renders the views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from htmltools import HTML, TagList
from shiny import Inputs, Outputs, Session, reactive, render, req

from dashboard.state import State, parse_query
from dashboard.table import Table
from dashboard.views.about import method_and_sources
from dashboard.views.chart import chart as chart_view
from dashboard.views.chart import figures_table
from dashboard.views.downloads import downloads as downloads_view
from dashboard.views.map import map_summary
from dashboard.views.ranking import ranking as ranking_view
from dashboard.views.region import region_summary
from dashboard.views.transitions import transitions


def make_server(table: Table) -> Callable[[Inputs, Outputs, Session], None]:
    """Return the Shiny server function: it holds the state of one session and renders the views."""

    @lru_cache(maxsize=1024)
    def rendered(view: Callable[..., TagList], state: State, **options: bool) -> HTML:
        # Rendered to text once, for all sessions with the same state. The tags have escaped all text.
        return HTML(view(table, state, **options).render()["html"])

    def server(input: Inputs, output: Outputs, session: Session) -> None:
        state: reactive.Value[State] = reactive.Value()
        without_time: reactive.Value[State] = reactive.Value()  # the same for all years and orders, so less is rendered

        @reactive.effect
        def _read_query() -> None:
            new = parse_query(req(input.query()), table)
            # set() triggers rendering even where the new value equals the old one.
            with reactive.isolate():
                for value, content in ((state, new), (without_time, replace(new, year=0, order="desc"))):
                    if not value.is_set() or value() != content:
                        value.set(content)

        @render.ui
        def headline() -> HTML:
            return rendered(region_summary, state())

        @render.ui
        def chart() -> HTML:
            return rendered(chart_view, state(), narrow=bool(input.narrow()))

        @render.ui
        def figures() -> HTML:
            return rendered(figures_table, without_time())

        @render.ui
        def ranking() -> HTML:
            return rendered(ranking_view, state())

        @render.ui
        def changes() -> HTML:
            return rendered(transitions, state())

        @render.ui
        def downloads() -> HTML:
            return rendered(downloads_view, without_time())

        @render.ui
        def about() -> HTML:
            return rendered(method_and_sources, without_time())

        @render.ui
        def summary() -> HTML:
            return rendered(map_summary, state())

    return server
