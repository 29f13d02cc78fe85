"""Tags that several views need: SVG elements and the frame of a whole page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htmltools import Tag, TagChild, tags

from dashboard.words import _, current


def svg(name: str, *children: TagChild, **attributes: Any) -> Tag:
    """Make an SVG element.

    attributes : a trailing `_` of a name is dropped, any other becomes `-`: class_ is class, text_anchor is text-anchor
    """
    return Tag(
        name, {k.rstrip("_").replace("_", "-"): str(v) for k, v in attributes.items() if v is not None}, *children
    )


def document(
    title: str, body: Sequence[TagChild], *, base: str = "", class_: str = "", head: Sequence[TagChild] = ()
) -> Tag:
    """Make a whole HTML page.

    base : relative address of the root of the site, empty or ending with a slash
    head : more children of the head
    """
    site = _("Impervious land by region")
    return tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.title(title if title.startswith(site) else f"{title} · {site}"),
            tags.link(rel="icon", href=f"{base}static/icon.svg", type="image/svg+xml"),
            *head,
            tags.link(rel="stylesheet", href=f"{base}static/dashboard.css"),
        ),
        tags.body(*body, class_=class_ or None),
        lang=current().code,
    )
