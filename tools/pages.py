#!/usr/bin/env python3
"""Write the HTML form of the manual pages from their Markdown form, or check with --check that both agree.

GRASS before 8.5 builds its manual from HTML fragments, GRASS 8.5 from Markdown. The Markdown page is the source; the HTML page beside it is
committed, since g.extension has no Markdown renderer.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

TOP = Path(__file__).resolve().parent.parent


class _Renderer(RendererHTML):
    """HTML as GRASS writes it: code in a div of class "code", links to pages of the suite with the ending .html."""

    def fence(self, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
        code = tokens[idx].content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f'<div class="code"><pre>\n{code}</pre></div>\n'

    def link_open(self, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
        href = re.sub(r"^([a-z0-9.]+)\.md$", r"\1.html", str(tokens[idx].attrs["href"]))
        return f'<a href="{href}">'


def tools() -> list[str]:
    """Return the names of the tools, which the Makefile lists."""
    return re.search(r"^SUBDIRS = (.+)$", (TOP / "Makefile").read_text(), re.M)[1].split()


def pages() -> list[Path]:
    """Return the Markdown pages: the suite's and one for each tool."""
    return [TOP / "r.impervious.md", *(TOP / tool / f"{tool}.md" for tool in tools())]


def html_of(markdown: str) -> str:
    """Return a page as an HTML fragment; headings of the first level belong to GRASS."""
    return MarkdownIt("commonmark", renderer_cls=_Renderer).enable("table").render(markdown)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a page is out of date")
    check = parser.parse_args().check
    stale = []
    for page in pages():
        target, wanted = page.with_suffix(".html"), html_of(page.read_text(encoding="utf-8"))
        if not target.exists() or target.read_text(encoding="utf-8") != wanted:
            stale.append(target.relative_to(TOP))
            if not check:
                target.write_text(wanted, encoding="utf-8")
    for name in stale:
        print(f"Page '{name}' differs from its Markdown page. Run make pages." if check else f"Written: {name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
