"""Classes, the code tables of land cover products, and the definitions of impervious.

A cell has one of four classes; 0 is no data in files and NULL in GRASS. A definition of *impervious* is a sum of classes, so one run
serves every definition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from imperviouslib.core.errors import LegendError, _

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
"""In the order of their codes, which are 1, 2, 3 ... without gaps: the outputs of the network follow this order."""
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
            _("Option <definition>"),
            found=f"'{definition}'",
            expected=" or ".join(DEFINITIONS),
            then=_("Choose one of these."),
        )
    impervious = DEFINITIONS[definition]
    rest = tuple(c.code for c in CLASSES if c.code not in impervious and c.code != GREEN)
    return {"IMP": impervious, "GRN": (GREEN,), "OTH": rest}


@dataclass(frozen=True)
class Legend:
    """How the codes of a land cover product become classes of the suite."""

    name: str
    """Name in messages and provenance."""
    codes: dict[int, int]
    """Product code to class 1-4, or 0 for no data."""
    titles: dict[int, str] = field(default_factory=dict)
    """Product code to its name in the product."""

    def __post_init__(self) -> None:
        wrong = sorted({c for c in self.codes.values() if c not in (NODATA, *(k.code for k in CLASSES))})
        if wrong:
            *others, last = (str(c.code) for c in CLASSES)
            raise LegendError(
                _("Legend '{}'").format(self.name),
                found=_("class {}").format(wrong[0]),
                expected=_("0 (no data), {} or {}").format(", ".join(others), last),
                then=_("Correct the legend file."),
            )

    def check_codes(self, codes: Iterable[int], name: str) -> None:
        """Raise LegendError if a map, called `name` in the message, has a code that the legend lacks."""
        unknown = next((code for code in codes if code not in self.codes), None)
        if unknown is not None:
            raise LegendError(
                _("Map <{}>").format(name),
                found=_("code {}").format(unknown),
                expected=_("a code of the legend '{}'").format(self.name),
                then=_("Choose another legend, or write a legend file that has the code (class nodata leaves it out)."),
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

WORLDCOVER = Legend(
    "worldcover",
    {0: 0, 10: 3, 20: 3, 30: 3, 40: 3, 50: 1, 60: 2, 70: 4, 80: 4, 90: 4, 95: 3, 100: 4, 255: 0},
    {
        10: "Tree cover", 20: "Shrubland", 30: "Grassland", 40: "Cropland", 50: "Built-up", 60: "Bare, sparse vegetation",
        70: "Snow and ice", 80: "Permanent water", 90: "Herbaceous wetland", 95: "Mangroves", 100: "Moss and lichen",
    },
)  # fmt: skip
"""ESA WorldCover, 2020 and 2021."""

_CORINE = (
    (111, 1, "Continuous urban fabric"), (112, 1, "Discontinuous urban fabric"), (121, 1, "Industrial or commercial"),
    (122, 1, "Roads and railways"), (123, 1, "Ports"), (124, 1, "Airports"), (131, 2, "Mineral extraction"), (132, 2, "Dumps"),
    (133, 2, "Construction"), (141, 3, "Green urban areas"), (142, 3, "Sport and leisure"), (211, 3, "Arable, not irrigated"),
    (212, 3, "Arable, irrigated"), (213, 3, "Rice"), (221, 3, "Vineyards"), (222, 3, "Fruit trees"), (223, 3, "Olives"),
    (231, 3, "Pastures"), (241, 3, "Annual with permanent crops"), (242, 3, "Complex cultivation"),
    (243, 3, "Agriculture with natural vegetation"), (244, 3, "Agro-forestry"), (311, 3, "Broad-leaved forest"),
    (312, 3, "Coniferous forest"), (313, 3, "Mixed forest"), (321, 3, "Natural grassland"), (322, 3, "Moors and heathland"),
    (323, 3, "Sclerophyllous vegetation"), (324, 3, "Woodland-shrub"), (331, 2, "Beaches, dunes, sands"), (332, 2, "Bare rock"),
    (333, 2, "Sparsely vegetated"), (334, 3, "Burnt areas"), (335, 4, "Glaciers and snow"), (411, 4, "Inland marshes"),
    (412, 4, "Peatbogs"), (421, 4, "Salt marshes"), (422, 4, "Salines"), (423, 4, "Intertidal flats"), (511, 4, "Water courses"),
    (512, 4, "Water bodies"), (521, 4, "Coastal lagoons"), (522, 4, "Estuaries"), (523, 4, "Sea"),
)  # fmt: skip
CORINE = Legend(
    "corine",
    {
        **{code: target for code, target, _ in _CORINE},
        **{number: target for number, (_, target, _) in enumerate(_CORINE, start=1)},
        **dict.fromkeys((0, 48, 128, 255, 990, 995, 999), 0),
    },
    {code: title for code, _, title in _CORINE},
)
"""CORINE Land Cover by its codes (111-523) and by the values of its rasters (1-44), which number the same classes."""

LEGENDS: dict[str, Legend] = {legend.name: legend for legend in (S2GLC, PROTOTYPE, CLCPLUS, WORLDCOVER, CORINE)}


def parse_legend(text: str, name: str) -> Legend:
    """Parse a legend; # begins a comment. Lines are `code class [title]`, class by number 0-4 or by key, or rules of r.reclass.

    >>> parse_legend("1 artificial sealed land\\n2 3\\n9 nodata", "mine").codes
    {1: 1, 2: 3, 9: 0}
    >>> parse_legend("1 4 thru 6 = 1 Sealed\\n9 = NULL", "mine").codes
    {1: 1, 4: 1, 5: 1, 6: 1, 9: 0}
    """
    codes: dict[int, int] = {}
    titles: dict[int, str] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        thing = _("Legend '{}', line {}").format(name, number)
        found = _parse_rule(line) if "=" in line else _parse_line(line)
        if found is None:
            raise LegendError(
                thing,
                found=f"'{raw.strip()}'",
                expected=_("'code class [title]' with class 0-{} or one of {}, or a rule of r.reclass").format(
                    len(CLASSES), ", ".join(_KEYS)
                ),
                then=_("Correct the line."),
            )
        for code in found[0]:
            if code in codes:
                raise LegendError(
                    thing,
                    found=_("code {} a second time").format(code),
                    expected=_("each code once"),
                    then=_("Remove one of the lines."),
                )
            codes[code] = found[1]
            # The title in a rule belongs to the class, that in a line to the code.
            if found[2] and "=" not in line:
                titles[code] = found[2]
    if not codes:
        raise LegendError(
            _("Legend '{}' has no line with a code").format(name),
            then=_("Write lines of the form 'code class'."),
        )
    return Legend(name, codes, titles)


_CODE = "-?[0-9]{1,10}"
"""A code: products mark no data by -9999 too."""
_MOST_CODES = 100_000
"""Codes of a rule: no product has as many, and more would fill the memory."""
_KEYS = {"nodata": NODATA, "NULL": NODATA, **{c.key: c.code for c in CLASSES}}


def _parse_class(word: str) -> int | None:
    return int(word) if re.fullmatch("[0-9]+", word) else _KEYS.get(word)


def _parse_line(line: str) -> tuple[list[int], int, str] | None:
    words = line.split(None, 2)
    target = _parse_class(words[1]) if len(words) > 1 else None
    if target is None or not re.fullmatch(_CODE, words[0]):
        return None
    return [int(words[0])], target, words[2].strip() if len(words) == 3 else ""


def _parse_rule(line: str) -> tuple[list[int], int, str] | None:
    left, _, right = line.partition("=")
    words = right.split(None, 1)
    target = _parse_class(words[0]) if words else None
    ranges = re.findall(rf"({_CODE})(?:\s+thru\s+({_CODE}))?", left)
    if target is None or not ranges or not re.fullmatch(rf"(\s*{_CODE}(\s+thru\s+{_CODE})?(?=\s|$))+\s*", left):
        return None
    if sum(abs(int(last or first) - int(first)) for first, last in ranges) > _MOST_CODES:
        return None
    codes = [code for first, last in ranges for code in range(int(first), int(last or first) + 1)]
    return codes, target, words[1].strip() if len(words) == 2 else ""
