"""Products in the form of the Copernicus Data Space: JPEG 2000 objects under SAFE paths, metadata, STAC items."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.features import shapes
from rasterio.shutil import copy
from rasterio.transform import from_origin

from testsuite.world.materials import BANDS
from testsuite.world.passes import Pass
from testsuite.world.sensor import Scene
from testsuite.world.spec import BUCKET, COLLECTION, RES_M
from testsuite.world.view import SUN_AZIMUTH, Window

SCL_NAMES = (
    "no_data", "saturated_or_defective", "dark_area_pixels", "cloud_shadows", "vegetation", "not_vegetated", "water", "unclassified",
    "cloud_medium_probability", "cloud_high_probability", "thin_cirrus", "snow",
)  # fmt: skip
STATISTICS = {
    "nodata": 0, "saturated_defective": 1, "dark_area": 2, "cloud_shadow": 3, "vegetation": 4, "not_vegetated": 5, "water": 6,
    "unclassified": 7, "medium_proba_clouds": 8, "high_proba_clouds": 9, "thin_cirrus": 10,
}  # fmt: skip
BAND_FACTS = {
    "B04": ("red", 0.665, 0.342, "Red (band 4) - 20m", "downsampled"),
    "B11": ("swir16", 1.61, 1.42, "SWIR 1 (band 11) - 20m", "original"),
    "B12": ("swir22", 2.186, 1.16, "SWIR 2 (band 12) - 20m", "original"),
    "B8A": ("nir08", 0.865, 0.441, "NIR 2 (band 8A) - 20m", "original"),
}
EXTENSIONS = (
    "eo/v2.0.0", "raster/v2.0.0", "sat/v1.0.0", "projection/v2.0.0", "grid/v1.1.0", "view/v1.0.0", "file/v2.1.0", "processing/v1.2.0",
    "alternate-assets/v1.2.0", "timestamps/v1.1.0", "authentication/v1.1.0", "classification/v2.0.0", "product/v0.1.0", "storage/v2.0.0",
)  # fmt: skip


@dataclass(frozen=True)
class Product:
    """The names of one Level-2A product."""

    when: Pass
    window: Window
    baseline: str
    """Processing baseline, such as 02.06."""
    processed: datetime
    """When it was processed, UTC."""
    half: int = 0
    """0 for a whole tile; 1 or 2 for the parts of a tile that belong to two datastrips."""

    @property
    def baseline_digits(self) -> str:
        """Baseline without its point, as in names."""
        return self.baseline.replace(".", "")

    @property
    def reprocessed(self) -> bool:
        """Whether it belongs to Collection-1."""
        return self.baseline == "05.00"

    @property
    def offset_dn(self) -> int:
        """What the processor adds to each digital number: 1000 from baseline 04.00 on."""
        return 1000 if float(self.baseline) >= 4 else 0

    @property
    def sensing(self) -> str:
        """Start of the datatake, as in names."""
        return f"{self.when.sensed:%Y%m%dT%H%M%S}"

    @property
    def strip_start(self) -> datetime:
        """Start of the datastrip; that of a second half starts some seconds later."""
        return self.when.sensed + timedelta(seconds=63 + 12 * max(0, self.half - 1))

    @property
    def id(self) -> str:
        """Item id: the SAFE name without its suffix."""
        w = self.when
        return f"S2{w.satellite}_MSIL2A_{self.sensing}_N{self.baseline_digits}_R{w.relative_orbit:03d}_T{self.window.tile.name}_{self.processed:%Y%m%dT%H%M%S}"

    @property
    def folder(self) -> str:
        """Key of the SAFE folder within the bucket."""
        root = {"05.00": "L2A_N0500", "04.00": "L2A_N0400"}.get(self.baseline, "L2A")
        return f"Sentinel-2/MSI/{root}/{self.when.sensed:%Y/%m/%d}/{self.id}.SAFE"

    @property
    def granule(self) -> str:
        """Name of the granule's folder."""
        return f"L2A_T{self.window.tile.name}_A{self.when.absolute_orbit:06d}_{self.strip_start:%Y%m%dT%H%M%S}"

    def key(self, band: str) -> str:
        """Key of a 20 m band's object within the bucket."""
        return (
            f"{self.folder}/GRANULE/{self.granule}/IMG_DATA/R20m/T{self.window.tile.name}_{self.sensing}_{band}_20m.jp2"
        )

    @property
    def datatake(self) -> str:
        """Identifier of the datatake."""
        return f"GS2{self.when.satellite}_{self.sensing}_{self.when.absolute_orbit:06d}_N{self.baseline}"

    @property
    def datastrip(self) -> str:
        """Identifier of the datastrip."""
        station = "S2RP" if self.reprocessed else "EPAE"
        s = self.when.satellite
        return f"S2{s}_OPER_MSI_L2A_DS_{station}_{self.processed:%Y%m%dT%H%M%S}_S{self.strip_start:%Y%m%dT%H%M%S}_N{self.baseline}"


def digital_numbers(reflectance: np.ndarray, valid: np.ndarray, offset_dn: int) -> np.ndarray:
    """Convert reflectance 0-1 to the numbers of the product: uint16, x 10000 plus the offset, 0 no data. Any shape."""
    # A valid number is never 0, and fits into 15 bits.
    numbers = np.clip(np.rint(reflectance * 10000) + offset_dn, 1, 32767)
    return np.where(valid, numbers, 0).astype(np.uint16)


def write_jp2(path: Path, data: np.ndarray, window: Window) -> None:
    """Write one band as JPEG 2000 in the profile of ESA: reversible 5x3, tiles of 640, five resolutions, precincts of 256, PLT, no TLM.

    data : array (row, col), uint16 (15 bits used) or uint8
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    west, _, _, north = window.bounds
    part = path.with_name(f".{path.name}.part")
    memory = {
        "driver": "MEM", "height": data.shape[0], "width": data.shape[1], "count": 1, "dtype": data.dtype.name,
        "crs": f"EPSG:{window.tile.epsg}", "transform": from_origin(west, north, RES_M, RES_M),
    }  # fmt: skip
    options = {
        "CODEC": "JP2", "QUALITY": "100", "REVERSIBLE": "YES", "RESOLUTIONS": "5", "BLOCKXSIZE": "640", "BLOCKYSIZE": "640",
        "PRECINCTS": ",".join(["{256,256}"] * 5), "NBITS": "15" if data.dtype == np.uint16 else "8", "PLT": "YES", "TLM": "NO",
    }  # fmt: skip
    env = rasterio.Env(GDAL_NUM_THREADS=1, GDAL_PAM_ENABLED=False)
    with env, rasterio.MemoryFile() as held, held.open(**memory) as file:
        file.write(data, 1)
        # By copy, because rasterio's writer ignores BLOCKXSIZE.
        copy(file, part, driver="JP2OpenJPEG", **options)
    part.replace(path)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, and rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def multihash(data: bytes) -> str:
    """Return the SHA3-256 multihash, hex, as in file:checksum."""
    return "1620" + hashlib.sha3_256(data).hexdigest()


def footprint(valid: np.ndarray, window: Window) -> list[list[float]]:
    """Return the outline of the valid pixels as a closed ring of longitude and latitude, simplified to 60 m."""
    west, _, _, north = window.bounds
    outline = max(
        (
            s["coordinates"][0]
            for s, v in shapes(valid.astype(np.uint8), transform=from_origin(west, north, RES_M, RES_M))
            if v == 1
        ),
        key=lambda ring: abs(_signed_area(np.array(ring))),
    )
    ring = _simplify(np.array(outline), 60.0)
    lon, lat = Transformer.from_crs(window.tile.epsg, 4326, always_xy=True).transform(ring[:, 0], ring[:, 1])
    return [[float(a), float(b)] for a, b in zip(lon, lat, strict=True)]


def _signed_area(ring: np.ndarray) -> float:
    """Return the signed area of a ring."""
    return float(np.sum(ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]) / 2)


def _simplify(ring: np.ndarray, tolerance: float) -> np.ndarray:
    """Simplify a closed ring by the algorithm of Douglas and Peucker."""
    middle = int(np.argmax(np.hypot(*(ring - ring[0]).T)))
    keep = {0, middle, len(ring) - 1}
    todo = [(0, middle), (middle, len(ring) - 1)]
    while todo:
        a, b = todo.pop()
        if b - a < 2:
            continue
        line = ring[b] - ring[a]
        d = np.abs(line[0] * (ring[a:b, 1] - ring[a, 1]) - line[1] * (ring[a:b, 0] - ring[a, 0])) / max(
            np.hypot(*line), 1e-9
        )
        far = a + int(np.argmax(d))
        if d[far - a] > tolerance:
            keep.add(far)
            todo += [(a, far), (far, b)]
    return ring[sorted(keep)]


def metadata_xml(product: Product) -> bytes:
    """Return the part of MTD_MSIL2A.xml that readers use: product, quantification, and the offsets from baseline 04.00 on."""
    p, w = product, product.when
    files = "\n".join(
        f"            <IMAGE_FILE>{p.key(b).split('.SAFE/')[1][:-4]}</IMAGE_FILE>" for b in (*BANDS, "SCL")
    )
    offsets = ""
    if p.offset_dn:
        lines = "\n".join(f'        <BOA_ADD_OFFSET band_id="{i}">-1000</BOA_ADD_OFFSET>' for i in range(13))
        offsets = f"\n      <BOA_ADD_OFFSET_VALUES_LIST>\n{lines}\n      </BOA_ADD_OFFSET_VALUES_LIST>"
    schema = "https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_User_Product xmlns:n1="{schema}">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{w.sensed:%Y-%m-%dT%H:%M:%S}.024Z</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{w.sensed:%Y-%m-%dT%H:%M:%S}.024Z</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{p.id}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{p.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{p.processed:%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
      <Datatake datatakeIdentifier="{p.datatake}">
        <SPACECRAFT_NAME>Sentinel-2{w.satellite}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{w.sensed:%Y-%m-%dT%H:%M:%S}.024Z</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{w.relative_orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Product_Organisation>
        <Granule_List>
          <Granule datastripIdentifier="{p.datastrip}" imageFormat="JPEG2000">
{files}
          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>
        <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>{offsets}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-2A_User_Product>
""".encode()


def write_product(root: Path, product: Product, scene: Scene) -> dict[str, Any]:
    """Write the objects of a product into the folder of the bucket. Returns: the STAC item."""
    bucket = root / "objects" / BUCKET
    files: dict[str, bytes] = {}
    for number, band in enumerate(BANDS):
        path = bucket / product.key(band)
        write_jp2(path, digital_numbers(scene.bands[number], scene.valid, product.offset_dn), product.window)
        files[band] = path.read_bytes()
    path = bucket / product.key("SCL")
    write_jp2(path, scene.scl, product.window)
    files["SCL"] = path.read_bytes()
    xml = metadata_xml(product)
    write_bytes(bucket / product.folder / "MTD_MSIL2A.xml", xml)
    return stac_item(product, scene, {k: (len(v), multihash(v)) for k, v in files.items()}, (len(xml), multihash(xml)))


def stac_item(
    product: Product, scene: Scene, files: dict[str, tuple[int, str]], xml: tuple[int, str]
) -> dict[str, Any]:
    """Return the STAC 1.1 item in the form of the Copernicus Data Space, with its wrong raster:offset.

    files : band to size in bytes and checksum; xml : the same for MTD_MSIL2A.xml
    """
    p, w, window = product, product.when, product.window
    n = np.bincount(scene.scl.ravel(), minlength=12)
    n_valid = max(1, int(n[1:].sum()))
    statistics = {
        k: round(100 * float(n[v]) / (scene.scl.size if v == 0 else n_valid), 6) for k, v in STATISTICS.items()
    }
    ring = footprint(scene.valid, window)
    lons, lats = [c[0] for c in ring], [c[1] for c in ring]
    stamp = f"{w.sensed:%Y-%m-%dT%H:%M:%S}.024Z"
    west, _, _, north = window.bounds
    uuid = hashlib.md5(p.id.encode()).hexdigest()
    uuid = f"{uuid[:8]}-{uuid[8:12]}-{uuid[12:16]}-{uuid[16:20]}-{uuid[20:]}"
    odata = f"https://zipper.dataspace.copernicus.eu/odata/v1/Products({uuid})"
    catalogue = "https://stac.dataspace.copernicus.eu/v1"

    def asset(key: str, size: int, checksum: str) -> dict[str, Any]:
        nodes = "".join(f"/Nodes({part})" for part in key.split(f"{w.sensed:%Y/%m/%d}/")[1].split("/"))
        return {
            "href": f"s3://{BUCKET}/{key}",
            "alternate": {
                "https": {
                    "href": f"{odata}{nodes}/$value",
                    "auth:refs": ["oidc"],
                    "storage:refs": [],
                    "alternate:name": "HTTPS",
                }
            },
            "alternate:name": "S3",
            "auth:refs": ["s3"],
            "storage:refs": ["cdse-s3", "creodias-s3"],
            "file:size": size,
            "file:checksum": checksum,
            "file:local_path": key.split(f"{w.sensed:%Y/%m/%d}/")[1],
        }

    raster = {
        "type": "image/jp2", "gsd": RES_M, "nodata": 0, "proj:code": f"EPSG:{window.tile.epsg}",
        "proj:shape": [window.height, window.width], "proj:bbox": [float(v) for v in window.bounds],
        "proj:transform": [float(RES_M), 0.0, float(west), 0.0, float(-RES_M), float(north)],
    }  # fmt: skip
    assets: dict[str, Any] = {}
    for band, (common, centre, width, title, sampling) in BAND_FACTS.items():
        assets[f"{band}_20m"] = {
            **asset(p.key(band), *files[band]),
            **raster,
            "title": title,
            "roles": ["data", "reflectance", f"sampling:{sampling}", "gsd:20m"],
            "bands": [
                {
                    "name": band,
                    "eo:common_name": common,
                    "eo:center_wavelength": centre,
                    "eo:full_width_half_max": width,
                }
            ],
            "data_type": "uint16",
            "raster:scale": 0.0001,
            # The catalogue writes this on every item, whatever the baseline; for 02.xx and 03.xx it is wrong.
            "raster:offset": -0.1,
        }
    assets["SCL_20m"] = {
        **asset(p.key("SCL"), *files["SCL"]),
        **raster,
        "title": "Scene classfication map (SCL) - 20m",
        "roles": ["data", "sampling:original", "gsd:20m"],
        "data_type": "uint8",
        "classification:classes": [
            {
                "name": name,
                "value": v,
                "percentage": round(100 * float(n[v]) / n_valid if v else 100 * float(n[0]) / scene.scl.size, 6),
            }
            | ({"nodata": True} if v == 0 else {})
            for v, name in enumerate(SCL_NAMES)
        ],
    }
    assets["product_metadata"] = {
        **asset(f"{p.folder}/MTD_MSIL2A.xml", *xml), "type": "application/xml", "roles": ["metadata"], "title": "MTD_MSIL2A.xml"
    }  # fmt: skip
    assets["Product"] = {
        "href": f"{odata}/$value",
        "type": "application/zip",
        "roles": ["data", "metadata", "archive"],
        "title": "Zipped product",
        "auth:refs": ["oidc"],
        "file:size": sum(size for size, _ in files.values()) + xml[0],
        "file:local_path": f"{p.id}.SAFE.zip",
        "alternate:name": "HTTPS",
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{e}/schema.json" for e in EXTENSIONS]
        + ["https://cs-si.github.io/eopf-stac-extension/v1.2.0/schema.json"],
        "id": p.id,
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [round(min(lons), 6), round(min(lats), 6), round(max(lons), 6), round(max(lats), 6)],
        "properties": {
            "datetime": stamp, "start_datetime": stamp, "end_datetime": stamp,
            "created": f"{p.processed:%Y-%m-%dT%H:%M:%S}.000000Z", "updated": f"{p.processed:%Y-%m-%dT%H:%M:%S}.000000Z",
            "published": f"{p.processed:%Y-%m-%dT%H:%M:%S}.000000Z", "expires": "9999-01-01T00:00:00.000000Z",
            "platform": f"sentinel-2{w.satellite.lower()}", "constellation": "sentinel-2", "instruments": ["msi"], "gsd": 10,
            "grid:code": f"MGRS-{window.tile.name}", "statistics": statistics,
            # Of the valid pixels, as in the real catalogue.
            "eo:cloud_cover": round(100 * float(n[8] + n[9] + n[10]) / n_valid, 2), "eo:snow_cover": round(100 * float(n[11]) / n_valid, 6),
            "product:type": "S2MSI2A", "product:timeliness": "PT24H", "product:timeliness_category": "NRT",
            "processing:level": "L2", "processing:version": p.baseline, "processing:facility": "ESA",
            "processing:datetime": f"{p.processed:%Y-%m-%dT%H:%M:%S}.000000Z",
            "eopf:datatake_id": p.datatake, "eopf:datastrip_id": p.datastrip, "eopf:instrument_mode": "INS-NOBS",
            "eopf:origin_datetime": f"{p.processed:%Y-%m-%dT%H:%M:%S}.000000Z",
            "sat:absolute_orbit": w.absolute_orbit, "sat:relative_orbit": w.relative_orbit, "sat:orbit_state": "descending",
            "sat:platform_international_designator": "2015-028A" if w.satellite == "A" else "2017-013A",
            "view:sun_azimuth": round(float(np.degrees(SUN_AZIMUTH)), 3), "view:sun_elevation": round(60.5 - 0.19 * abs(w.day - 172), 3),
            "auth:schemes": {
                "s3": {"type": "s3"},
                "oidc": {
                    "type": "openIdConnect",
                    "openIdConnectUrl": "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/.well-known/openid-configuration",
                },
            },
            "storage:schemes": {
                "cdse-s3": {
                    "title": "Copernicus Data Space Ecosystem S3", "platform": "https://eodata.dataspace.copernicus.eu",
                    "type": "custom-s3", "requester_pays": False,
                },
                "creodias-s3": {
                    "title": "CREODIAS S3", "platform": "https://eodata.cloudferro.com", "type": "custom-s3", "requester_pays": True,
                },
            },
        },
        "links": [
            {"rel": "collection", "type": "application/json", "href": f"{catalogue}/collections/{COLLECTION}"},
            {"rel": "parent", "type": "application/json", "href": f"{catalogue}/collections/{COLLECTION}"},
            {"rel": "root", "type": "application/json", "href": f"{catalogue}/"},
            {"rel": "self", "type": "application/geo+json", "href": f"{catalogue}/collections/{COLLECTION}/items/{p.id}"},
            {
                "rel": "enclosure", "type": "application/x-directory", "title": "S3 path to source directory",
                "href": f"s3://{BUCKET}/{p.folder}/", "auth:refs": ["s3"], "storage:refs": ["cdse-s3", "creodias-s3"],
            },
        ],
        "assets": assets,
    }  # fmt: skip
