"""Draw a world: `python -m testsuite.world.picture WORLD FILE`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import rasterio

from testsuite.world.difficulty import composite
from testsuite.world.materials import CLASS_OF_S2GLC
from testsuite.world.reading import read_items, read_scene, read_truth, read_world

COLOURS = np.array([(255, 255, 255), (178, 24, 43), (171, 164, 153), (77, 146, 33), (67, 124, 190)], np.uint8)


def false_colour(image: np.ndarray) -> np.ndarray:
    """Return B12, B11, B04 as red, green, blue. image : array (band, row, col) of B04, B11, B12. Returns: array (row, col, 3), 0-1; no data is black."""
    return np.clip(np.nan_to_num(image[::-1]).transpose(1, 2, 0) / [0.30, 0.40, 0.20], 0, 1)


def draw(world: Path, path: Path) -> None:
    """Draw a scene, a composite, truth, labels, growth and regions of a world as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    facts, place = read_world(world)
    first, last = facts["years"][0], facts["years"][-1]
    image, count = composite(world, first, place)
    scene = next(
        s
        for i in read_items(world, first)
        if (s := read_scene(world, i, place)) is not None and np.isfinite(s).mean() > 0.2
    )
    before, after = read_truth(world, first), read_truth(world, last)
    table = np.zeros(256, np.uint8)
    for code, target in CLASS_OF_S2GLC.items():
        table[code] = target
    with rasterio.open(world / "labels" / f"s2glc_{first}.tif") as file:
        labels = table[file.read(1)]
    with rasterio.open(world / "truth" / "zones.tif") as file:
        zones = file.read(1)
    growth = COLOURS[before].astype(float) / 255 * 0.35 + 0.65
    growth[(before != 1) & (after == 1)] = (0.85, 0.0, 0.1)
    growth[(before == 1) & (after != 1)] = (0.0, 0.3, 0.9)
    middle = before.shape[0] // 2, before.shape[1] // 2
    town = np.unravel_index(np.argmax(_local_share(before == 1)), before.shape)
    near = tuple(slice(max(0, t - 75), t + 75) for t in town)
    panels = (
        (false_colour(scene), "One scene of one tile, clear pixels (B12 B11 B04)"),
        (false_colour(image), f"Median of {first}"),
        (count, f"Clear observations, {first}"),
        (COLOURS[before], f"Truth {first}: artificial (red), natural (grey), green, other (blue)"),
        (COLOURS[labels], "Label map, 86 % correct"),
        (growth, f"New (red) and lost (blue) sealed land {first}-{last}"),
        (false_colour(image)[near], "Composite of a town, 3 km"),
        (COLOURS[before][near], f"Truth of the town, {first}"),
        (zones, "Regions of level 3"),
    )
    fig, axes = plt.subplots(3, 3, figsize=(12, 12.6))
    for ax, (data, title) in zip(axes.flat, panels, strict=True):
        cmap = "tab20" if "Regions" in title else "viridis"
        ax.imshow(data, interpolation="nearest", cmap=cmap)
        ax.set_title(title, fontsize=9)
        ax.set(xticks=[], yticks=[])
    fig.suptitle(
        f"Seed {facts['settings']['seed']}, {middle[0] * 40 / 1000:g} x {middle[1] * 40 / 1000:g} km", fontsize=10
    )
    fig.tight_layout()
    fig.savefig(path, dpi=50)
    plt.close(fig)


def _local_share(mask: np.ndarray) -> np.ndarray:
    """Return the share of true cells in the surroundings of each cell."""
    from scipy import ndimage

    return ndimage.uniform_filter(mask.astype(np.float32), 75)


def main(arguments: list[str] | None = None) -> int:
    """Draw a world by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m testsuite.world.picture", description="Draw a world.")
    parser.add_argument("world", type=Path, help="folder of the world")
    parser.add_argument("file", type=Path, help="picture to write, .png")
    a = parser.parse_args(arguments)
    try:
        draw(a.world, a.file)
    except (OSError, ValueError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
