"""The documents: the site builds with strict links and loads nothing from elsewhere, and what is written twice agrees."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from imperviouslib.core import cloudmask
from testsuite import TOOLS, TOP
from testsuite.doc_commands import commands_of, is_grass
from tools.docs.build import options_of
from tools.docs.conf import restructured
from tools.pages import html_of

PAGES = ["r.impervious", *TOOLS]
LOADING = {"script": "src", "link": "href", "img": "src", "source": "src", "iframe": "src", "video": "src", "audio": "src",
           "object": "data", "embed": "src"}  # fmt: skip
"""Elements by which a page loads a file, and the attribute that names it; of `link`, the kinds below."""
LINKS = {"stylesheet", "icon", "shortcut", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "manifest", "apple-touch-icon"}  # fmt: skip


def _folder(page: str) -> Path:
    return TOP if page == "r.impervious" else TOP / page


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run([sys.executable, TOP / "tools/docs/build.py", folder], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return folder


class _Loads(HTMLParser):
    """Collects what a page loads when it is opened."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.found += re.findall(r"url\(['\"]?([^)'\"]+)", values.get("style") or "")
        self.found += [part.split()[0] for part in (values.get("srcset") or "").split(",") if part.strip()]
        if tag in LOADING and (tag != "link" or LINKS & set((values.get("rel") or "").split())):
            self.found.append(values.get(LOADING[tag]) or "")


def _external(address: str) -> bool:
    return bool(re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", address.strip(), re.I))


def _loaded(text: str) -> list[str]:
    parser = _Loads()
    parser.feed(text)
    return parser.found


def test_the_page_of_yearly_names_the_classes_that_hide_the_ground():
    page = (TOP / "r.s2.yearly" / "r.s2.yearly.md").read_text()
    named = re.search(r"shadows \(classes ([\d, ]+)\), snow \((\d+)\), .*?defect \(([\d, ]+)\)", page, re.S)
    cloudy, snow, defect = (tuple(int(code) for code in part.split(",")) for part in named.groups())
    assert cloudy == cloudmask.CLOUDY and sorted((*cloudy, *snow, *defect)) == sorted(cloudmask.UNUSABLE)


def test_the_search_for_external_files_finds_them():
    page = """<link rel="stylesheet" href="https://fonts.example/a.css"><script src="//cdn.example/b.js"></script><img src="c.png">
        <link rel="canonical" href="https://example.org/"><a href="https://example.org/">x</a><p style="background: url('http://d.example/d.png')">"""
    external = [address for address in _loaded(page) if _external(address)]
    assert external == ["https://fonts.example/a.css", "//cdn.example/b.js", "http://d.example/d.png"]


def test_site_loads_nothing_from_elsewhere(site):
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    assert len(pages) > 50 and styles
    for page in pages:
        loaded = _loaded(page.read_text(encoding="utf-8"))
        assert loaded and not [address for address in loaded if _external(address)], page
    for style in styles:
        text = style.read_text(encoding="utf-8")
        named = re.findall(r"url\(\s*['\"]?([^)'\"]+)|@import\s+['\"]([^'\"]+)", text)
        assert not [address for pair in named for address in pair if _external(address)], style


def test_site_holds_every_page_and_module(site):
    for page in PAGES:
        assert (site / _folder(page).relative_to(TOP) / f"{page}.html").is_file()
    documents = [path.relative_to(TOP).with_suffix(".html") for path in (TOP / "doc").rglob("*.md")]
    modules = [
        ".".join(path.relative_to(TOP).with_suffix("").parts) for path in (TOP / "imperviouslib").rglob("*/*.py")
    ]
    library = [f"library/{name.removesuffix('.__init__')}.html" for name in modules]
    assert documents and library and all((site / path).is_file() for path in (*documents, *library))
    text = (site / "library" / "imperviouslib.core.grid.html").read_text(encoding="utf-8")
    assert "A rectangle of whole cells" in text


def test_site_shows_the_options_of_a_tool(site):
    text = (site / "r.s2.yearly" / "r.s2.yearly.html").read_text(encoding="utf-8")
    assert "PARAMETERS" in text and "<strong>dilate</strong>" in text and "<strong>-q</strong>" in text


def test_a_broken_link_fails_the_build(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for target, status in (("other.md", 0), ("missing.md", 1)):
        (source / "index.md").write_text(f"# Title\n\n[link]({target})\n", encoding="utf-8")
        (source / "other.md").write_text("---\norphan: true\n---\n\n# Other\n", encoding="utf-8")
        command = ["-m", "sphinx", "-q", "-W", "-E", "-c", TOP / "tools/docs", source, tmp_path / "out"]
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
        assert done.returncode == status, done.stderr
    assert "missing.md" in done.stderr


def test_html_pages_agree_with_their_markdown_pages():
    done = subprocess.run([sys.executable, TOP / "tools/pages.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_pages_are_written_as_grass_writes_them():
    markdown = (
        "## NOTES\n\nSee *[r.s2.ard](r.s2.ard.md)* and [it](https://example.org/a.md).\n\n```sh\nif(a < 1 && b)\n```\n"
    )
    assert html_of(markdown) == (
        '<h2>NOTES</h2>\n<p>See <em><a href="r.s2.ard.html">r.s2.ard</a></em> and <a href="https://example.org/a.md">it</a>.</p>\n'
        '<div class="code"><pre>\nif(a &lt; 1 &amp;&amp; b)\n</pre></div>\n'
    )


def test_fields_of_a_docstring_become_a_list():
    lines = ["Add `a` to b.", "", "a, b : int, metres", "    or degrees", "Returns: int_", "", ">>> add(1, 2)", "3"]
    assert restructured(lines) == [
        "Add ``a`` to b.", "", "- **a, b**: int, metres", "  or degrees", r"- **Returns**: int\_", "", ">>> add(1, 2)", "3", "",
    ]  # fmt: skip


WRITTEN = ["README.md", *(str((_folder(page) / f"{page}.md").relative_to(TOP)) for page in PAGES),
           *(str(path.relative_to(TOP)) for path in sorted((TOP / "doc").glob("*.md")))]  # fmt: skip
"""Pages whose commands people copy."""
GENERAL = {"--overwrite", "--verbose", "--quiet", "--help", "--debug"}
"""Flags of every tool."""


def _choices(script: str) -> dict[str, set[str]]:
    """Return the values that an option accepts, where its head lists them."""
    heads = re.findall(r"^# %option.*\n((?:# % .*\n)*?)# %end", script, re.M)
    entries = [dict(line.split(": ", 1) for line in re.findall(r"^# % (\w+: .+)$", head, re.M)) for head in heads]
    return {one["key"]: set(one["options"].split(",")) for one in entries if "key" in one and "options" in one}


def _is_range(choices: set[str]) -> bool:
    return any(re.fullmatch(r"-?[\d.]+-[\d.]*", choice) for choice in choices)


@pytest.mark.parametrize("page", WRITTEN)
def test_commands_of_a_page_use_options_that_exist(page):
    for name, *words in commands_of(TOP / page):
        if name not in TOOLS:
            continue
        script = (TOP / name / f"{name}.py").read_text(encoding="utf-8")
        known, choices = {key for key, _, _ in options_of(script)} | GENERAL, _choices(script)
        for word in words:
            key, _, value = word.partition("=")
            flags = [f"-{letter}" for letter in word[1:]] if re.fullmatch("-[a-z]+", word) else [key]
            assert word == "..." or set(flags) <= known, f"{page}: {name} {word}"
            if key in choices and not _is_range(choices[key]):
                assert set(value.split(",")) <= choices[key], f"{page}: {name} {word}"


def test_recipes_and_tutorial_use_every_tool():
    for page in ("doc/tutorial.md", "doc/recipes.md"):
        assert {words[0] for words in commands_of(TOP / page)} >= set(TOOLS), page


def test_what_a_step_of_the_recipes_reads_was_made_before():
    """By a step before it, or by people: these files are named in the text."""
    made = {
        "clcplus_2018.tif",
        "NUTS_RG_01M_2024_3035.geojson",
        "first.csv",
        "second.csv",
        "third.csv",
        "sample/design.json",
    }
    for words in commands_of(TOP / "doc" / "recipes.md"):
        options = dict(word.split("=", 1) for word in words if is_grass(words) and "=" in word)
        for key in ("input", "model", "labels", "zones", "composites", "design", "sample"):
            for name in filter(None, options.get(key, "").split(",")):
                # A prefix stands for the maps that begin with it.
                assert name in made or any(name.startswith(f"{prefix}_") for prefix in made if prefix), words
        made.add(options.get("output", ""))


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_options_on_the_site_are_those_of_the_tool(tool, grass_exec):
    """What the site reads from the head of a script is what GRASS makes of it."""
    task = ET.fromstring(grass_exec(tool, "--interface-description").stdout.encode())
    asked = {p.get("name"): (p.findtext("default") or "").strip() for p in task.iter("parameter")}
    asked |= {f"-{f.get('name')}": "" for f in task.iter("flag") if len(f.get("name")) == 1}
    found = options_of((TOP / tool / f"{tool}.py").read_text(encoding="utf-8"))
    assert {name for name, _, _ in found} == set(asked)
    assert all(text for _, _, text in found)
    assert all(default == asked[name] for name, default, _ in found if default)


@pytest.mark.parametrize("page", PAGES)
def test_cmake_names_script_and_pages_and_they_exist(page):
    text = (_folder(page) / "CMakeLists.txt").read_text()
    assert re.search(rf"^project\({re.escape(page)} LANGUAGES NONE\)$", text, re.M)
    files = [file.replace("${PROJECT_NAME}", page) for file in re.findall(r"\$\{PROJECT_NAME\}\.\w+", text)]
    assert files == ([] if page == "r.impervious" else [f"{page}.py"]) + [f"{page}.html", f"{page}.md"]
    assert all((_folder(page) / file).is_file() for file in files)


def test_cmake_names_every_tool():
    text = (TOP / "CMakeLists.txt").read_text()
    assert tuple(text.split("ADDONS")[1].split("DOCFILES")[0].split()) == TOOLS


def test_make_prints_the_names_of_the_tools():
    done = subprocess.run(["make", "-s", "tools"], cwd=TOP, capture_output=True, text=True, check=True)
    assert tuple(done.stdout.split()) == TOOLS


def test_hooks_run_what_make_check_runs():
    config = yaml.safe_load((TOP / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert all(hook["language"] == "system" for hook in hooks)
    makefile = (TOP / "dev.mk").read_text()
    recipe = "".join(re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.M)[1] for target in ("lint", "check"))
    commands = [line.strip().lstrip("@").replace("$(PYTHON3)", "tools/in-venv python3") for line in recipe.splitlines()]
    assert [hook["entry"] for hook in hooks] == [c for c in commands if not c.startswith("tools/setup.sh")]


def test_readme_is_short():
    lines = (TOP / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 120 and max(map(len, lines)) <= 120
    assert (TOP / "doc" / "chain.png").stat().st_size < 200_000


def test_citation_names_the_version_of_the_project():
    citation = yaml.safe_load((TOP / "CITATION.cff").read_text())
    project = re.search(r'^version = "(.+)"$', (TOP / "pyproject.toml").read_text(), re.M)[1]
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", project)
