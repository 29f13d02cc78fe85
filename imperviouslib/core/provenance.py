"""Provenance: what each stage must record with the maps that it makes, and the JSON form in which it is stored.

A composite records its scenes, a prediction its model and data, a change map the class maps that it compares. `to_json` and
`parse_provenance` are the only places that know the keys; edge/grass/maps.py stores the JSON beside a map's metadata.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from imperviouslib.core.grid import Grid

Json = dict[str, Any]


@dataclass(frozen=True)
class SceneRecord:
    """One scene that a composite is made of."""

    id: str
    """Item id of the catalogue."""
    tile: str | None = None
    """MGRS tile; this and what follows is None in files of another system."""
    sensed_utc: str | None = None
    """ISO time."""
    baseline: str | None = None
    """Processing baseline as written, e.g. 05.00."""
    offset: int | None = None
    """Reflectance offset that was added, in counts."""
    rule: str | None = None
    """Rule that gave the offset."""
    sha256: Mapping[str, str] | None = None
    """Band, SCL among them, to the digest of its GeoTIFF."""

    def to_json(self) -> Json:
        """Return the stored form; unknown values are left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class MaskScenes:
    """The scenes of the whole year against which cloud flags were checked, where they are more than those composited."""

    scenes: int
    """Number of scenes."""
    sha256: str
    """Digest over the digests of their files, sorted."""


@dataclass(frozen=True)
class CompositeProvenance:
    """Provenance of a map of r.s2.yearly."""

    period: str
    feature: str
    """Layer: a feature, count, spread or quality."""
    method: str
    settings: Mapping[str, Any]
    """Method, cloud mask, dilation and choice of tiles."""
    scenes: tuple[SceneRecord, ...]
    grid: Grid
    version: str
    """Version of the suite."""
    mask_scenes: MaskScenes | None = None

    def to_json(self) -> Json:
        """Return the stored form."""
        return _sorted({"period": self.period, "feature": self.feature, **self.origin()})

    def origin(self) -> Json:
        """Return what all layers of the period share: method, settings and scenes."""
        content: Json = {
            "method": self.method, "settings": dict(self.settings), "scenes": [scene.to_json() for scene in self.scenes],
            "grid": _grid_json(self.grid), "version": self.version,
        }  # fmt: skip
        if self.mask_scenes:
            content["mask_scenes"] = asdict(self.mask_scenes)
        return content


@dataclass(frozen=True)
class PredictionProvenance:
    """Provenance of a map of r.unet.predict."""

    period: str
    model: str
    """SHA-256 of the net."""
    model_labels: Mapping[str, Any]
    """Year and legend of the labels it was trained on."""
    data: str
    """Digest of the period's features."""
    ard: str
    """Digest of the HDF5 file."""
    bounds: tuple[int, int, int, int]
    """Extent: west, south, east, north in metres."""
    prior: Mapping[str, float]
    """Class shares of the training ground."""
    temperature: float | None
    """Calibration of the net."""
    scenes: tuple[SceneRecord, ...]
    """Scenes of the composites; empty if they come from another system."""
    version: str
    engine: str = "tensorflow"
    """Library that computed the net."""
    precision: str = "float32"
    """Numbers that it computed with."""

    def to_json(self) -> Json:
        """Return the stored form."""
        scenes = [scene.to_json() for scene in self.scenes]
        return _sorted({**_fields(self), "bounds": list(self.bounds), "scenes": scenes})

    def difference(self, other: PredictionProvenance) -> str | None:
        """Name the first field that makes two maps of one name different results; None if they are the same."""
        # Engines agree to the rounding of the stored probabilities.
        parts = {
            "period": "period", "model": "model", "data": "features", "bounds": "region", "precision": "precision",
        }  # fmt: skip
        return next((word for key, word in parts.items() if getattr(self, key) != getattr(other, key)), None)


@dataclass(frozen=True)
class SeriesProvenance:
    """Provenance of a map that r.unet.predict makes from all years together."""

    years: tuple[int, ...]
    """Years of the series, ascending."""
    series: str
    """SHA-256 of the series net."""
    model: str
    """SHA-256 of the net that made the yearly maps."""
    data: Mapping[str, str]
    """Year to the digest of its features."""
    bounds: tuple[int, int, int, int]
    """Extent: west, south, east, north in metres."""
    version: str
    precision: str = "float32"
    """Numbers that the yearly maps were computed with."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """Constants of the evidence, `series.CONSTANTS`; empty in maps of before."""
    rates: Mapping[str, Any] | None = None
    """Shares of land that are sealed always, sealed in one year, unsealed in one year, and where these numbers come from."""

    def to_json(self) -> Json:
        """Return the stored form."""
        return _sorted({**_fields(self), "years": list(self.years), "bounds": list(self.bounds)})

    def difference(self, other: SeriesProvenance) -> str | None:
        """Name the first field that makes two maps of one name different results; None if they are the same."""
        parts = {
            "series": "model", "model": "model", "bounds": "region", "precision": "precision", "years": "years",
            "data": "features", "constants": "constants of the evidence",
        }  # fmt: skip
        return next((word for key, word in parts.items() if getattr(self, key) != getattr(other, key)), None)

    def contains(self, yearly: PredictionProvenance) -> bool:
        """Return whether the series was computed from a yearly prediction."""
        made = (yearly.model, yearly.data, yearly.bounds, yearly.precision)
        return (self.model, self.data.get(yearly.period), self.bounds, self.precision) == made

    def extends(self, other: SeriesProvenance) -> bool:
        """Return whether this is the same series with more years: histories of the earlier years are then revised."""
        known = {year: digest for year, digest in self.data.items() if int(year) in other.years}
        keys = ("series", "model", "bounds", "precision", "constants")
        same = all(getattr(self, key) == getattr(other, key) for key in keys)
        return same and known == other.data and len(self.years) > len(other.years)


@dataclass(frozen=True)
class ChangeProvenance:
    """Provenance of a map of r.impervious.change."""

    kind: str
    """Layer of the map: fromto, gain, loss, greengain, consistent ..."""
    years: tuple[int, ...]
    sources: Mapping[str, str]
    """Year, or pair of years as 2017-2018, to the map it was made from."""
    version: str
    definition: str | None = None
    """Which classes count as impervious, where that matters."""

    def to_json(self) -> Json:
        """Return the stored form."""
        content = {**_fields(self), "years": list(self.years)}
        if self.definition is None:
            del content["definition"]
        return _sorted(content)


Provenance = CompositeProvenance | PredictionProvenance | SeriesProvenance | ChangeProvenance


def parse_provenance(content: Mapping[str, Any]) -> Provenance | None:
    """Read the stored form; None for a map that the suite did not make, or whose record is incomplete."""
    try:
        if "feature" in content:
            # Version 0.1.0 first wrote this part under another key.
            mask = content.get("mask_scenes") or content.get("heard")
            return CompositeProvenance(
                content["period"], content["feature"], content["method"], content["settings"], parse_scenes(content["scenes"]),
                Grid.from_bounds(content["grid"]["bounds"], content["grid"]["res_m"]), content["version"], MaskScenes(**mask) if mask else None,
            )  # fmt: skip
        if "series" in content:
            return SeriesProvenance(
                **_known(
                    SeriesProvenance, {**content, "years": tuple(content["years"]), "bounds": tuple(content["bounds"])}
                )
            )
        if "model" in content:
            parts = {**content, "bounds": tuple(content["bounds"]), "scenes": parse_scenes(content["scenes"])}
            return PredictionProvenance(**_known(PredictionProvenance, parts))
        return ChangeProvenance(**_known(ChangeProvenance, {**content, "years": tuple(content["years"])}))
    except (KeyError, TypeError, ValueError):
        return None


def parse_scenes(records: Sequence[Mapping[str, Any]]) -> tuple[SceneRecord, ...]:
    """Read the stored form of scenes; keys that the record does not have are left out."""
    return tuple(SceneRecord(**_known(SceneRecord, record)) for record in records)


def _known(kind: type, content: Mapping[str, Any]) -> Json:
    """Return the parts that a record has; later versions may write more."""
    return {one.name: content[one.name] for one in fields(kind) if one.name in content}


def _fields(record: PredictionProvenance | SeriesProvenance | ChangeProvenance) -> Json:
    """Return the fields by name, without converting nested dataclasses."""
    return dict(vars(record))


def _grid_json(grid: Grid) -> Json:
    return {"bounds": list(grid.bounds), "res_m": grid.res_m}


def _sorted(content: Any) -> Any:
    """Sort the keys at all depths, so that equal records give equal text wherever they are written."""
    if isinstance(content, Mapping):
        return {key: _sorted(content[key]) for key in sorted(content)}
    return [_sorted(one) for one in content] if isinstance(content, list) else content
