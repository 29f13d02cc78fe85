"""Files of others, damaged at random: every parser returns something or refuses it in one line; none ends with another error.

A round takes a sound file, changes values in it (odd numbers, other types, deep nesting, characters that end statements) or its bytes, and gives it
to the parser. The number of the round decides all of it, so a failure can be repeated: `ROUND=123 pytest testsuite/test_fuzz.py`. The short form
takes some seconds; `make soak` runs ten minutes.
"""

from __future__ import annotations

import json
import math
import os
import random
import time

import pytest

from imperviouslib.core import jp2
from imperviouslib.core.archive import format_sidecar
from imperviouslib.core.card import parse_card
from imperviouslib.core.design import parse_design
from imperviouslib.core.errors import ImperviousError
from imperviouslib.core.indicators import KINDS, parse_numbers
from imperviouslib.core.items import parse_item
from imperviouslib.core.legend import LEGENDS, parse_legend
from imperviouslib.core.readings import columns, parse_readings
from imperviouslib.edge import stac, tablefile
from imperviouslib.edge.archivefile import read_sidecar
from imperviouslib.edge.files import read_text
from testsuite.scene_ground import item
from testsuite.test_archive import SIDECAR
from testsuite.test_indicators import CELL_M2, NO_OUTLINES, five_years
from testsuite.unet_ground import make_card

ROUNDS = 150
"""Rounds of a parser in the short form."""
LONG_S = 600 / 9
"""Seconds of a parser in the long form, so that all of them take ten minutes."""
ODD = (
    None, True, False, 0, -1, 1, 10**400, -(10**30), 2**63, 2**31 - 1, 1e308, -0.0, math.nan, math.inf, -math.inf, "", " ", "0", "-9999", "NaN", "null",
    "2018-02-30T25:61:00Z", "../../etc/passwd", "/vsicurl/http://x", "file:///dev/zero", "a'; DROP TABLE x;--", "<script>", "$(reboot)", "\x00", "\u202e", "\ud800",
    "٣", "x" * 70_000, "=1+1", [], {}, [[]], [None], [[[[[[]]]]]], {"a": {}}, [1, 2], ["a"], [math.nan] * 4, [1e300] * 4, {"type": "Polygon"},
)  # fmt: skip


def change_value(value: object, rng: random.Random) -> object:
    """Return a JSON value with one change somewhere in it."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        what = rng.random()
        if what < 0.12:
            return {k: v for k, v in value.items() if k != key}
        if what < 0.18:
            return {**value, rng.choice(["", "type", "\x00", "id", key * 2]): rng.choice(ODD)}
        return {**value, key: change_value(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        what = rng.random()
        if what < 0.1:
            return value[:place]
        if what < 0.2:
            return value * rng.choice([2, 50])
        return [*value[:place], change_value(value[place], rng), *value[place + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and rng.random() < 0.4:
        return rng.choice([-value, value + 1, value * 1e6, value / 3, str(value)])
    if isinstance(value, str) and value and rng.random() < 0.4:
        place = rng.randrange(len(value))
        return value[:place] + rng.choice(["", "'", "\n", "é", "\x00", value, "/"]) + value[place + 1 :]
    if rng.random() < 0.05:
        deep: object = value
        for _level in range(rng.choice([50, 3000])):
            deep = [deep]
        return deep
    return rng.choice(ODD)


def change_json(value: object, rng: random.Random) -> bytes:
    """Return JSON text with one to three changed values, of which one in four is then damaged as text."""
    for _change in range(rng.randint(1, 3)):
        value = change_value(value, rng)
    try:
        text = json.dumps(value)
    except (RecursionError, ValueError):
        text = "[" * 100_000
    content = text.encode("utf-8", errors="surrogatepass")
    return change_bytes(content, rng) if rng.random() < 0.25 else content


def change_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with some of them cut, repeated or replaced."""
    changed = bytearray(content)
    for _change in range(rng.randint(1, 6)):
        place = rng.randrange(len(changed) + 1)
        what = rng.random()
        if what < 0.2:
            del changed[place : place + rng.choice([1, 2, 50, 5000])]
        elif what < 0.4:
            changed[place:place] = changed[place : place + rng.choice([1, 10, 100])] * rng.choice([1, 3])
        elif what < 0.5:
            del changed[place:]
        else:
            odd = rng.choice(
                [
                    b"\xff",
                    b"\x00",
                    b",",
                    b'"',
                    b"\n",
                    b"\xef\xbb\xbf",
                    b"-",
                    b"9" * 30,
                    b"\xff\xff\xff\xff",
                    os.urandom(0),
                ]
            )
            changed[place : place + len(odd)] = odd
        if not changed:
            break
    return bytes(changed)


# The parsers: a sound file as bytes or JSON, and how it is read.


def items(folder, rng):
    source = item(
        rng.choice(["S2A_MSIL2A_20180601T101031_N0206_R022_T33UUU_20180601T152000", "x"]),
        **rng.choice([{}, {"earthsearch:boa_offset_applied": True, "s2:product_uri": "S2A.SAFE"}]),
    )
    path = folder / "items.json"
    path.write_bytes(change_json({"type": "FeatureCollection", "features": [source]}, rng))
    for one in stac.read_collection(path):
        parse_item(one, str(folder))


def sidecars(folder, rng):
    path = folder / "B12.json"
    path.write_bytes(change_json(format_sidecar(SIDECAR), rng))
    read_sidecar(path)


def _codestream(rng):
    """A small JP2 file: signature, boxes and a main header, with or without the lengths of tile-parts."""
    tiles, size = 4, (512, 512, 0, 0, 256, 256, 0, 0)
    main = (
        b"\xff\x4f\xff\x51"
        + (38 + 3).to_bytes(2, "big")
        + b"\0\0"
        + b"".join(n.to_bytes(4, "big") for n in size)
        + b"\0\1\7\1\1"
    )
    if rng.random() < 0.5:
        lengths = b"".join((100).to_bytes(4, "big") for _tile in range(tiles))
        main += b"\xff\x55" + (4 + len(lengths)).to_bytes(2, "big") + b"\0\x40" + lengths
    parts = b"".join(
        b"\xff\x90\0\x0a" + n.to_bytes(2, "big") + (100).to_bytes(4, "big") + b"\0\1" + b"\xff\x93" + bytes(86)
        for n in range(tiles)
    )
    return b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x08abcd" + b"\0\0\0\0jp2c" + main + parts + b"\xff\xd9"


def jp2_headers(folder, rng):
    content = change_bytes(_codestream(rng), rng)
    header = jp2.parse_header(content)
    if header is not None:
        assert header.tiles > 0 and header.area_share(range(min(header.tiles, 4))) >= 0
        header.tiles_meeting((0, min(header.height, 600)), (0, min(header.width, 600)))


def legends(folder, rng):
    path = folder / "legend.txt"
    sound = rng.choice([legend.rules() for legend in LEGENDS.values()] + ["62 1 Town\n-9999 nodata\n2 thru 5 = 3\n"])
    path.write_bytes(change_bytes(sound.encode(), rng))
    legend = parse_legend(read_text(path, "Legend file"), "mine")
    assert set(legend.codes.values()) <= {0, 1, 2, 3, 4}


def cards(folder, rng):
    parse_card(change_json(make_card().to_json(), rng).decode("utf-8", errors="replace"), "card.json")


def readings(folder, rng):
    years = (2017, 2018)
    sound = ",".join(columns(years)) + "\np1,,1,0,sure,me,1,12,note\nw1,17,0,1,guess,me,1,,\nw2,,,,sure,me,1,3,\n"
    text = change_bytes(sound.encode(), rng).decode("utf-8", errors="replace")
    parse_readings(text, {"p1": "point", "w1": "window", "w2": "window"}, years, name="readings.csv")


def numbers(folder, rng):
    kind = rng.choice(KINDS)
    sound = f"geo,year,{kind.column}\nBE1,2017,1200000\nBE1,2018,1210000.5\nBE2,2017,6500000\n"
    parse_numbers(change_bytes(sound.encode(), rng).decode("utf-8", errors="replace"), "n.csv", kind)


def designs(folder, rng):
    unit = {"id": "p1", "kind": "point", "purpose": "gain", "area": "", "stratum": 0, "row": 1, "col": 2}
    sound = {
        "contract": 1,
        "version": "0",
        "years": [2017, 2018],
        "seed": 1,
        "grid": {"bounds": [0, 0, 200, 200], "res_m": 20},
        "sizes": {},
        "made_from": {},
        "areas": [{"geo": "", "cells": 100, "strata": {"gain": [{"name": "hot", "cells": 5, "units": 5, "drawn": 1}]}}],
        "units": [unit],
        "digest": "x",
    }
    text = change_json(sound, rng).decode("utf-8", errors="replace")
    if rng.random() < 0.7:
        from imperviouslib.core.design import digest_of

        try:
            value = json.loads(text)
            value["digest"] = digest_of({k: v for k, v in value.items() if k != "digest"})
            text = json.dumps(value)
        except (ValueError, TypeError, RecursionError, AttributeError):
            pass
    parse_design(text, "design.json")


def tables(folder, rng):
    target = folder / "table"
    if not target.exists():
        package = {
            "name": tablefile.NAME,
            "title": "t",
            "created": "2026-01-01T00:00:00Z",
            "method": [],
            "regions": {"nuts_version": "2024", "note": ""},
        }
        with tablefile.writing_folder(target, five_years(), NO_OUTLINES, package):
            pass
        for file in target.iterdir():
            (folder / f"sound-{file.name}").write_bytes(file.read_bytes())
    name = rng.choice(["datapackage.json", "datapackage.json", "impervious_nuts.parquet", "outlines.geojson"])
    sound = (folder / f"sound-{name}").read_bytes()
    content = change_json(json.loads(sound), rng) if name == "datapackage.json" else change_bytes(sound, rng)
    (target / name).write_bytes(content)
    if name != "datapackage.json" and rng.random() < 0.8:
        # With the digest of the damaged file, its content is read.
        package = json.loads((folder / "sound-datapackage.json").read_bytes())
        for resource in package["resources"]:
            if resource["path"] == name:
                resource["hash"] = f"sha256:{tablefile.sha256_file(target / name)}"
        (target / "datapackage.json").write_text(json.dumps(package), encoding="utf-8")
    try:
        tablefile.read_folder(target, CELL_M2)
    finally:
        for restored in (name, "datapackage.json"):
            (target / restored).write_bytes((folder / f"sound-{restored}").read_bytes())


PARSERS = (items, sidecars, jp2_headers, legends, cards, readings, numbers, designs, tables)


def one_round(parser, number, folder):
    """Give one damaged file to a parser; an error of the suite must have one line."""
    rng = random.Random(f"{parser.__name__} {number}")
    try:
        parser(folder, rng)
    except ImperviousError as err:
        text = str(err)
        assert text and "\n" not in text, (parser.__name__, number, text)


@pytest.mark.parametrize("parser", PARSERS)
def test_a_damaged_file_is_read_or_refused(parser, tmp_path):
    if "ROUND" in os.environ:
        one_round(parser, int(os.environ["ROUND"]), tmp_path)
        return
    for number in range(ROUNDS):
        one_round(parser, number, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("parser", PARSERS)
def test_soak_of_damaged_files(parser, tmp_path):
    until, number = time.monotonic() + LONG_S, ROUNDS
    while time.monotonic() < until:
        one_round(parser, number, tmp_path)
        number += 1
    print(f"{parser.__name__}: {number - ROUNDS} rounds")
