"""What `make clients` asks the programs of others about the files of a run: the Python that has them runs this file.

    python client_checks.py RUN

RUN holds ard.nc and table/, as testsuite/clients.py lays them out. One JSON line is printed for each check: client, version, file, whether
it passed, and what the client found. A check is a function that returns what it found, or raises an error; an ImportError or a program that
does not exist means that the client is not installed.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

ARD, TABLE = "ard.nc", "table"
VALUES = "impervious_nuts"
EPSG, RES_M = 3035, 20
CF_KNOWN = (
    "(8.1): must be of type byte, short or int",
    "string type (vlen types not supported)",
    "(2.6.1): This netCDF file does not appear to contain CF Convention data.",
)
"""Errors that cfchecker, which knows CF up to 1.8, makes of a file of CF-1.11 and of what that allows."""

_CHECKS: list[tuple[str, str, str, Callable[[Path], str]]] = []


class AbsentError(Exception):
    """The client is not installed."""


def client(name: str, distribution: str, file: str) -> Callable:
    """Register a check: the client's name, the distribution or program that tells its version, and the file that it reads."""

    def add(check: Callable[[Path], str]) -> Callable[[Path], str]:
        _CHECKS.append((name, distribution, file, check))
        return check

    return add


def require(condition: bool, found: object) -> None:
    """Raise ValueError with what was found unless a condition holds."""
    if not condition:
        raise ValueError(str(found))


@client("frictionless", "frictionless", f"{TABLE}/datapackage.json")
def package_is_valid(path: Path) -> str:
    """The whole package: types, code lists, keys, digests and bytes of each resource."""
    from frictionless import validate

    report = validate(str(path))
    require(report.valid, report.flatten(["name", "type", "message"])[:3])
    return f"{len(report.tasks)} resources valid"


@client("compliance-checker", "compliance-checker", ARD)
def conventions_are_kept(path: Path) -> str:
    """No error against the conventions that the file names."""
    version = _conventions(path).partition("-")[2]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        program = Path(sys.executable).with_name("compliance-checker")
        command = [program, f"--test=cf:{version}", "--format=json", f"--output={out}", path]
        subprocess.run(command, capture_output=True, text=True, check=False)
        report = json.loads(out.read_text(encoding="utf-8"))[f"cf:{version}"]
    errors = [line for check in report["high_priorities"] for line in check["msgs"]]
    require(not errors, errors[:3])
    remarks = {line for check in report["medium_priorities"] for line in check["msgs"]}
    return f"no error against CF-{version}; remarks: {'; '.join(sorted(remarks)) or 'none'}"


def _conventions(path: Path) -> str:
    import netCDF4

    with netCDF4.Dataset(path) as data:
        return str(data.Conventions)


@client("cfchecker", "cfchecker", ARD)
def older_conventions_are_kept(path: Path) -> str:
    """No error but those of what CF-1.8 did not know. Tables of names come from files, because the checker would fetch them."""
    import cf_units
    import compliance_checker

    units = Path(cf_units.__file__).parent
    library = next(units.with_name("cf_units.libs").glob("libudunits2*"), None)
    find = ctypes.util.find_library
    ctypes.util.find_library = lambda name: str(library) if name == "udunits2" and library else find(name)
    os.environ.setdefault("UDUNITS2_XML_PATH", str(units / "etc" / "share" / "udunits2.xml"))
    try:
        from cfchecker.cfchecks import CFChecker
    except FileNotFoundError as err:
        raise AbsentError(str(err)) from err
    finally:
        ctypes.util.find_library = find
    names = Path(compliance_checker.__file__).parent / "data" / "cf-standard-name-table.xml"
    with tempfile.TemporaryDirectory() as folder:
        tables = []
        for root in ("area_type_table", "standardized_region_list"):
            tables.append(Path(folder) / f"{root}.xml")
            facts = "<version_number>0</version_number><date>none</date><last_modified>none</last_modified>"
            tables[-1].write_text(f"<{root}>{facts}</{root}>", encoding="utf-8")
        checker = CFChecker(
            cfStandardNamesXML=str(names), cfAreaTypesXML=str(tables[0]), cfRegionNamesXML=str(tables[1]), silent=True
        )
        checker.checker(str(path))
    parts = [checker.results["global"], *checker.results["variables"].values()]
    errors = [line for part in parts for line in (*part["FATAL"], *part["ERROR"])]
    unknown = [line for line in errors if not any(known in line for known in CF_KNOWN)]
    require(not unknown, unknown[:3])
    return f"{len(errors)} errors, all because it knows CF up to 1.8: the name CF-1.11, packed unsigned integers, text"


@client("xarray, h5netcdf", "xarray", ARD)
def arrays_have_dates_and_place(path: Path) -> str:
    """Dates, scale and no data are decoded, and rioxarray finds the place."""
    import rioxarray
    import xarray

    with xarray.open_dataset(path, engine="h5netcdf", decode_coords="all") as data:
        require(data.rio.crs.to_epsg() == EPSG, data.rio.crs)
        feature = data[_feature(data)]
        mean, step = float(feature.mean()), abs(float(data.rio.transform().a))
        require(0 < mean < 1 and step == RES_M, (mean, step))
        dates = [str(value)[:10] for value in data.time.values]
    return f"EPSG:{EPSG}, {feature.name} {feature.dtype} mean {mean:.4f}, {dates[0]} to {dates[-1]} (rioxarray {rioxarray.__version__})"


def _feature(data) -> str:
    return next(name for name in data.data_vars if data[name].ndim == 3 and "scale_factor" in data[name].encoding)


@client("netCDF4", "netCDF4", ARD)
def plain_netcdf_has_packed_values(path: Path) -> str:
    """The library unpacks by itself."""
    import netCDF4

    with netCDF4.Dataset(path) as data:
        name = next(name for name, v in data.variables.items() if "scale_factor" in v.ncattrs())
        values = data[name][0]
        require(0 < float(values.mean()) < 1, values.mean())
        return f"{name} masked where there is no data: {int(values.mask.sum())} cells"


@client("kerchunk, zarr", "kerchunk", ARD)
def chunks_are_read_in_place(path: Path) -> str:
    """References to the chunks give the same values as the file."""
    import kerchunk.hdf
    import xarray

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        references = kerchunk.hdf.SingleHdf5ToZarr(str(path), inline_threshold=0).translate()
    how = {"storage_options": {"fo": references}, "consolidated": False}
    with (
        xarray.open_dataset("reference://", engine="zarr", backend_kwargs=how) as there,
        xarray.open_dataset(path, engine="h5netcdf") as here,
    ):
        name = _feature(here)
        require(bool(here[name].identical(there[name]) or here[name].equals(there[name])), f"{name} differs")
    return f"{len(references['refs'])} references, {name} equal"


@client("rasterio", "rasterio", ARD)
def rasterio_finds_the_place(path: Path) -> str:
    """Found under the file's own name: its variables are listed, each with its place."""
    import rasterio

    with warnings.catch_warnings():
        # The list itself has no place.
        warnings.simplefilter("ignore")
        with rasterio.open(path) as source:
            driver, listed = source.driver, source.subdatasets
    name = next(name for name in listed if name.endswith("_p50"))
    with rasterio.open(name) as source:
        require(source.crs.to_epsg() == EPSG and source.transform.a == RES_M, (source.crs, source.transform))
        return f"{driver}, {len(listed)} variables, {name.rpartition(':')[2]}: EPSG:{EPSG}, {source.transform.a:g} m, GDAL {rasterio.__gdal_version__}"


def _program(*command: object, **keys) -> str:
    if shutil.which(str(command[0])) is None:
        raise AbsentError(f"no program {command[0]}")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **keys)
    require(done.returncode == 0, done.stderr.strip()[-300:])
    return done.stdout


@client("GDAL of the system", "gdalinfo", ARD)
def gdal_finds_the_place(path: Path) -> str:
    """The same, by the programs of the system."""
    info = json.loads(_program("gdalinfo", "-json", path))
    listed = [value for key, value in info["metadata"]["SUBDATASETS"].items() if key.endswith("_NAME")]
    name = next(name for name in listed if name.endswith("_p50"))
    part = json.loads(_program("gdalinfo", "-json", name))
    require(f'ID["EPSG",{EPSG}]' in part["coordinateSystem"]["wkt"], part["coordinateSystem"]["wkt"][:80])
    require(part["geoTransform"][1] == RES_M, part["geoTransform"])
    return f"{info['driverShortName']}, {len(listed)} variables, {name.rpartition(':')[2]}: EPSG:{EPSG}, no data {part['bands'][0]['noDataValue']:g}"


_TERRA = """
suppressMessages(library(terra))
r <- suppressWarnings(rast(commandArgs(TRUE)[1]))
cat(crs(r, describe=TRUE)$code, res(r)[1], nlyr(r), format(time(r)[1]), format(packageVersion("terra")))
"""


@client("R terra", "Rscript", ARD)
def terra_finds_the_place(path: Path) -> str:
    """All layers, their place and their dates."""
    said = _program("Rscript", "-e", _TERRA, path)
    code, size, layers, date, version = said.split()
    require(code == str(EPSG) and float(size) == RES_M, said)
    return f"{layers} layers, EPSG:{EPSG}, first date {date}, terra {version}"


_QGIS = """
import sys
from qgis.core import Qgis, QgsApplication, QgsRasterLayer
application = QgsApplication([], False)
application.initQgis()
layer = QgsRasterLayer(f'NETCDF:"{sys.argv[1]}":B12_p50', "layer")
print(layer.isValid(), layer.crs().authid(), layer.rasterUnitsPerPixelX(), Qgis.QGIS_VERSION.split("-")[0])
"""


@client("QGIS", "qgis", ARD)
def qgis_finds_the_place(path: Path) -> str:
    """A layer of it is valid and has its place."""
    # QGIS is bound to the Python of the system; Debian has it without its programs as python3-qgis.
    if subprocess.run(["/usr/bin/python3", "-c", "import qgis.core"], capture_output=True, check=False).returncode:
        raise AbsentError("no package python3-qgis")
    said = _program("/usr/bin/python3", "-c", _QGIS, path, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"})
    *found, version = said.split()
    require(found == ["True", f"EPSG:{EPSG}", f"{RES_M:.1f}"], said)
    return f"valid layer, EPSG:{EPSG}, QGIS {version}"


@client("pysdmx", "pysdmx", f"{TABLE}/{VALUES}.sdmx.csv")
def pysdmx_reads_the_figures(path: Path) -> str:
    """The dataflow, and all rows and columns."""
    from pysdmx.io import read_sdmx

    found = read_sdmx(str(path), validate=False).data[0]
    rows = path.read_text(encoding="utf-8").count("\n") - 1
    require(len(found.data) == rows and "OBS_VALUE" in found.data.columns, found.data.shape)
    return f"{found.structure}, {rows} rows, {len(found.data.columns)} columns"


@client("sdmx1", "sdmx1", f"{TABLE}/{VALUES}.sdmx.csv")
def sdmx1_reads_the_figures(path: Path) -> str:
    """All observations, with the structure that datapackage.json describes; missing ones are NaN."""
    import sdmx
    from sdmx.model import v30

    package = json.loads((path.parent / "datapackage.json").read_text(encoding="utf-8"))
    table = next(resource for resource in package["resources"] if resource["name"] == VALUES)["schema"]
    structure = v30.DataStructureDefinition(id=VALUES.upper())
    for name in (field["name"] for field in table["fields"]):
        if name == "TIME_PERIOD":
            structure.dimensions.append(v30.TimeDimension(id=name))
        elif name in table["primaryKey"]:
            structure.dimensions.append(v30.Dimension(id=name))
        elif name == "OBS_VALUE":
            structure.measures.append(v30.Measure(id=name))
        else:
            structure.attributes.append(v30.DataAttribute(id=name))
    with path.open("rb") as handle:
        message = sdmx.read_sdmx(handle, format="csv", structure=structure)
    observations = message.data[0].obs
    values = [float(one.value) for one in observations]
    rows = path.read_text(encoding="utf-8").count("\n") - 1
    require(len(values) == rows, len(values))
    return f"{rows} observations, {sum(value != value for value in values)} of them missing"


@client("pyogrio", "pyogrio", f"{TABLE}/outlines_wgs84.geojson")
def outlines_are_in_degrees(path: Path) -> str:
    """RFC 7946: degrees, no member crs."""
    import pyogrio

    info = pyogrio.read_info(path)
    west, south, east, north = info["total_bounds"]
    require(info["crs"] == "EPSG:4326" and "crs" not in json.loads(path.read_text(encoding="utf-8")), info["crs"])
    require(-180 <= west < east <= 180 and -90 <= south < north <= 90, info["total_bounds"])
    return f"{info['features']} regions, {west:.2f} to {east:.2f} E, {south:.2f} to {north:.2f} N"


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        if shutil.which(distribution) is None:
            return ""  # The check says it where it can.
        done = subprocess.run([distribution, "--version"], capture_output=True, text=True, check=False)
        return (done.stdout or done.stderr).strip().split("\n")[0]


def main() -> None:
    """Run all checks."""
    folder = Path(sys.argv[1])
    for name, distribution, file, check in _CHECKS:
        result = {"client": name, "version": "", "file": file, "passed": None, "found": ""}
        try:
            with contextlib.redirect_stdout(sys.stderr):
                result["found"], result["passed"] = check(folder / file), True
            result["version"] = _version(distribution)
        except (ImportError, AbsentError) as err:
            result["found"] = f"not installed ({err})"
        except Exception as err:  # noqa: BLE001 (a client may raise anything, and the others are still asked)
            result |= {"passed": False, "found": f"{type(err).__name__}: {err}", "version": _version(distribution)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
