"""A mapset in which tests run commands one after another."""

import subprocess

import rasterio


class Session:
    """Runs commands by `grass --exec` in one mapset that stays."""

    def __init__(self, mapset, env):
        self.mapset, self.env = mapset, env
        subprocess.run(["grass", "-c", mapset, "-e"], check=True, capture_output=True)

    def __call__(self, *command, ok=True, **env):
        done = subprocess.run(
            ["grass", self.mapset, "--exec", *map(str, command)],
            env={**self.env, **env}, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        # GRASS folds long messages; one space a gap lets a test look for a sentence.
        done.said = " ".join(done.stderr.split())
        assert (done.returncode == 0) == ok, done.stderr
        return done

    def region(self, grid):
        west, south, east, north = grid.bounds
        self("g.region", f"w={west}", f"s={south}", f"e={east}", f"n={north}", "res=20")

    def cells(self, name, grid, path):
        """Cells of a map, 0 = NULL."""
        west, south, east, north = grid.bounds
        region = f"proj: 99; zone: 0; north: {north}; south: {south}; east: {east}; west: {west}; "
        region += f"cols: {grid.width}; rows: {grid.height}; e-w resol: 20; n-s resol: 20;"
        self(
            "r.out.gdal",
            f"input={name}",
            f"output={path}",
            "format=GTiff",
            "type=UInt16",
            "nodata=0",
            "--o",
            "--q",
            GRASS_REGION=region,
        )
        with rasterio.open(path) as dataset:
            assert dataset.shape == grid.shape
            return dataset.read(1)

    def maps(self):
        return self("g.list", "type=raster", "mapset=.").stdout.split()
