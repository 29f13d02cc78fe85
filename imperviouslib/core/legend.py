"""Classes, the code tables of label products, and the definitions of impervious.

Inside the suite a cell has one of four classes; 0 is no data in files and NULL in GRASS. A definition of *impervious* is a sum of
classes, so that one run serves every definition.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from imperviouslib.core.errors import LegendError, sentence

NODATA = 0
ARTIFICIAL, NATURAL, GREEN, OTHER = 1, 2, 3, 4


@dataclass(frozen=True)
class LandClass:
    """One class of the suite."""

    code: int
    """Value in class maps."""
    key: str
    """Short name in map names, columns and cards."""
    title: str
    """Name for people."""
    colour: tuple[int, int, int]
    """Red, green, blue, 0-255."""


CLASSES: tuple[LandClass, ...] = (
    LandClass(ARTIFICIAL, "artificial", "Artificial surfaces", (178, 24, 43)),
    LandClass(NATURAL, "natural", "Natural material surfaces", (171, 164, 153)),
    LandClass(GREEN, "green", "Green", (77, 146, 33)),
    LandClass(OTHER, "other", "Other (wetland, water, snow)", (67, 124, 190)),
)
CLASS_KEYS: tuple[str, ...] = tuple(c.key for c in CLASSES)

DEFINITIONS: dict[str, tuple[int, ...]] = {
    "artificial": (ARTIFICIAL,),
    "artificial_natural": (ARTIFICIAL, NATURAL),
}
"""Which classes count as impervious. `artificial` is as in CLC+ Backbone; `artificial_natural` is the prototype's and the default."""
DEFAULT_DEFINITION = "artificial_natural"


def landcover_codes(definition: str = DEFAULT_DEFINITION) -> dict[str, tuple[int, ...]]:
    """Return the classes behind each land cover of the table: IMP, GRN, OTH; together they are all four classes.

    >>> landcover_codes("artificial")["OTH"]
    (2, 4)
    """
    if definition not in DEFINITIONS:
        raise LegendError(
            sentence("Option <definition>", f"'{definition}'", " or ".join(DEFINITIONS), "Choose one of these.")
        )
    impervious = DEFINITIONS[definition]
    rest = tuple(c.code for c in CLASSES if c.code not in impervious and c.code != GREEN)
    return {"IMP": impervious, "GRN": (GREEN,), "OTH": rest}


@dataclass(frozen=True)
class Legend:
    """How the codes of a label product become classes of the suite."""

    name: str
    """Name in messages and provenance."""
    codes: dict[int, int]
    """Product code to class 1-4, or 0 for no data."""
    titles: dict[int, str] = field(default_factory=dict)
    """Product code to its name in the product."""

    def __post_init__(self) -> None:
        wrong = sorted({c for c in self.codes.values() if c not in (NODATA, *(k.code for k in CLASSES))})
        if wrong:
            raise LegendError(
                sentence(
                    f"Legend '{self.name}'",
                    f"class {wrong[0]}",
                    "0 (no data), 1, 2, 3 or 4",
                    "Correct the legend file.",
                )
            )

    def rules(self) -> str:
        """Write the legend as rules of r.reclass."""
        titles = {c.code: c.title for c in CLASSES}
        lines = []
        for target in sorted(set(self.codes.values())):
            sources = " ".join(str(code) for code in sorted(self.codes) if self.codes[code] == target)
            lines.append(f"{sources} = NULL" if target == NODATA else f"{sources} = {target} {titles[target]}")
        return "\n".join(lines) + "\n"


S2GLC = Legend(
    "s2glc",
    {0: 0, 62: 1, 73: 3, 75: 3, 82: 3, 83: 3, 102: 3, 103: 3, 104: 3, 105: 4, 106: 4, 121: 2, 123: 4, 162: 4, 255: 0},
    {
        0: "Clouds", 62: "Artificial surfaces", 73: "Cultivated areas", 75: "Vineyards", 82: "Broadleaf tree cover",
        83: "Coniferous tree cover", 102: "Herbaceous vegetation", 103: "Moors and heathland",
        104: "Sclerophyllous vegetation", 105: "Marshes", 106: "Peatbogs", 121: "Natural material surfaces",
        123: "Permanent snow", 162: "Water bodies", 255: "No data",
    },
)  # fmt: skip
"""S2GLC Europe 2017 v1.2 (doi 10.3390/rs12213523)."""

PROTOTYPE = Legend("prototype", {**S2GLC.codes, 121: 1}, S2GLC.titles)
"""The prototype's three classes: natural material counts as artificial, so class 2 never occurs."""

CLCPLUS = Legend(
    "clcplus",
    {0: 0, 1: 1, 2: 3, 3: 3, 4: 3, 5: 3, 6: 3, 7: 3, 8: 4, 9: 2, 10: 4, 11: 4, 253: 0, 254: 0, 255: 0},
    {
        1: "Sealed", 2: "Woody needle leaved", 3: "Woody broadleaved deciduous", 4: "Woody broadleaved evergreen",
        5: "Low-growing woody plants", 6: "Permanent herbaceous", 7: "Periodically herbaceous",
        8: "Lichens and mosses", 9: "Non- and sparsely vegetated", 10: "Water", 11: "Snow and ice",
    },
)  # fmt: skip
"""CLC+ Backbone, 2018 and later."""

LEGENDS: dict[str, Legend] = {legend.name: legend for legend in (S2GLC, PROTOTYPE, CLCPLUS)}


def parse_legend(text: str, name: str) -> Legend:
    """Read a legend from text: one line `code class [title]`, class by number 0-4 or by key; # begins a comment.

    >>> parse_legend("1 artificial sealed land\\n2 3\\n9 nodata", "mine").codes
    {1: 1, 2: 3, 9: 0}
    """
    keys = {"nodata": NODATA, **{c.key: c.code for c in CLASSES}}
    codes: dict[int, int] = {}
    titles: dict[int, str] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        words = raw.split("#", 1)[0].split(None, 2)
        if not words:
            continue
        thing = f"Legend '{name}', line {number}"
        if len(words) < 2 or not words[0].isdigit() or not (words[1].isdigit() or words[1] in keys):
            raise LegendError(
                sentence(
                    thing,
                    f"'{raw.strip()}'",
                    "'code class [title]', class 0-4 or " + ", ".join(keys),
                    "Correct the line.",
                )
            )
        code = int(words[0])
        if code in codes:
            raise LegendError(
                sentence(thing, f"code {code} a second time", "each code once", "Remove one of the two lines.")
            )
        codes[code] = int(words[1]) if words[1].isdigit() else keys[words[1]]
        if len(words) == 3:
            titles[code] = words[2].strip()
    if not codes:
        raise LegendError(
            sentence(f"Legend '{name}'", "no line with a code", "at least one", "Write 'code class' lines.")
        )
    return Legend(name, codes, titles)
