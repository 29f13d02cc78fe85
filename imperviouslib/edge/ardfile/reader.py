"""Reading the HDF5 file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from imperviouslib.core.errors import ArdError, _
from imperviouslib.core.feature import Feature
from imperviouslib.core.grid import Grid
from imperviouslib.core.legend import CLASSES
from imperviouslib.edge.ardfile.contract import CONTRACT, NO_BYTE, metadata_digest, open_hdf5, years_of_axis


class ArdFile:
    """An open, complete file; use `ArdFile.open`."""

    def __init__(self, path: Path, handle: h5py.File) -> None:
        self.path, self._file = path, handle
        self._features: dict[str, h5py.Dataset] = {}
        attributes = handle.attrs
        described = json.loads(attributes["grid"])
        self.grid = Grid(*described["bounds"], described["res_m"])
        self.periods: tuple[str, ...] = tuple(handle["period"].asstr()[:])
        self.years: tuple[int, ...] = years_of_axis(handle)
        self.features: tuple[str, ...] = tuple(json.loads(attributes["features"]))
        self.label_year: int | None = int(attributes["label_year"]) if "label_year" in attributes else None
        self.legend: str = str(attributes.get("legend", ""))
        self.provenance: dict[str, Any] = json.loads(attributes["provenance"])
        self.digests: tuple[str, ...] = tuple(json.loads(handle["time"].attrs["digests"]))

    @classmethod
    @contextmanager
    def open(cls, path: Path | str) -> Iterator[ArdFile]:
        """Open a file for reading; raise ArdError if it is missing, damaged, incomplete or of another contract."""
        path = Path(path)
        if not path.is_file():
            raise ArdError(
                _("There is no file '{}'").format(path),
                then=_("Check the name, or write the file with r.s2.ard."),
            )
        with open_hdf5(path) as handle:
            yield cls._describe(path, handle)

    @classmethod
    def _describe(cls, path: Path, handle: h5py.File) -> ArdFile:
        again = _("Write it again with r.s2.ard.")
        try:
            contract, complete = handle.attrs.get("contract"), handle.attrs.get("complete")
            number = None if contract is None else int(contract)
        except Exception as err:
            raise ArdError(
                _("File '{}' has damaged metadata ({})").format(path, err),
                then=again,
            ) from err
        if number is None:
            raise ArdError(
                _("HDF5 file '{}' was not written by r.s2.ard").format(path),
                then=again,
            )
        if number != CONTRACT:
            raise ArdError(
                _("File '{}'").format(path),
                found=_("contract {}").format(number),
                expected=_("contract {}").format(CONTRACT),
                then=_("Use the version of the suite that wrote it, or write it again."),
            )
        if not complete:
            raise ArdError(
                _("File '{}' is not complete, because the run that wrote it was stopped").format(path),
                then=again,
            )
        try:
            return cls(path, handle)
        except Exception as err:
            raise ArdError(
                _("File '{}' has damaged metadata ({})").format(path, err),
                then=again,
            ) from err

    @property
    def digest(self) -> str:
        """Return SHA-256 over the digests of all periods and of the label: it identifies the data."""
        label = self._file["label"].attrs.get("digest", "") if "label" in self._file else ""
        return hashlib.sha256(" ".join((*self.digests, str(label))).encode()).hexdigest()

    @property
    def is_float(self) -> bool:
        """Tell whether the features are float32 with NaN."""
        return self._file[self.features[0]].dtype.kind == "f"

    @property
    def has_checksums(self) -> bool:
        """Tell whether its chunks carry the checksums (fletcher32) that earlier versions wrote."""
        return bool(self._file["count"].fletcher32)

    def metadata_digest(self) -> str:
        """Return SHA-256 over all that describes the cells, as the file is now."""
        return metadata_digest(self._file)

    @property
    def has_label(self) -> bool:
        """Tell whether the file carries labels."""
        return "label" in self._file

    def read(self, period: str, part: Grid) -> np.ndarray:
        """Read all features of a period: array (feature, row, col), uint16 as stored, 0 = no data or outside.

        A file with float32 features gives the same numbers, because the steps of float32 are finer.
        """
        t = self._index(period)
        out = np.zeros((len(self.features), *part.shape), dtype=np.uint16)
        for plane, feature in zip(out, self.features, strict=True):
            variable = self._feature(feature)
            if self.is_float:
                values = np.full(part.shape, np.nan, dtype=np.float32)
                self._fill(values, variable, part, t)
                plane[:] = Feature.parse(feature).variable.stored(values)
            else:
                self._fill(plane, variable, part, t)
        return out

    def _feature(self, name: str) -> h5py.Dataset:
        """Return a feature's variable, which stays open: HDF5 forgets the chunks of one that is closed."""
        if name not in self._features:
            if name not in self._file:
                raise ArdError(
                    _("File '{}' has no variable {}").format(self.path, name),
                    then=_("Write it again with r.s2.ard."),
                )
            self._features[name] = self._file[name]
        return self._features[name]

    def read_count(self, period: str, part: Grid) -> np.ndarray:
        """Read clear observations: array (row, col), uint8, 255 = outside every scene or the file."""
        out = np.full(part.shape, NO_BYTE, dtype=np.uint8)
        self._fill(out, self._file["count"], part, self._index(period))
        return out

    def read_label(self, part: Grid) -> np.ndarray:
        """Read labels: array (row, col), uint8, class 1-4, 0 = no data or outside."""
        self._check_classes()
        out = np.zeros(part.shape, dtype=np.uint8)
        self._fill(out, self._file["label"], part, None)
        return out

    def _check_classes(self) -> None:
        """Raise ArdError if the labels have other classes than the suite has now: their codes would mean something else."""
        keys = " ".join(c.key for c in CLASSES)
        found = str(self._file["label"].attrs.get("flag_meanings", "")) if self.has_label else keys
        if found != keys:
            raise ArdError(
                _("File '{}'").format(self.path),
                found=_("labels of the classes {}").format(found),
                expected=keys,
                then=_("Write it again with r.s2.ard."),
            )

    def read_purity(self, part: Grid) -> np.ndarray:
        """Read the majority class's share: array (row, col), uint8, per cent, 255 = no data or outside."""
        out = np.full(part.shape, NO_BYTE, dtype=np.uint8)
        self._fill(out, self._file["purity"], part, None)
        return out

    def read_share(self, key: str, part: Grid) -> np.ndarray:
        """Read one class's share: array (row, col), uint8, per cent, 255 = no data or outside."""
        out = np.full(part.shape, NO_BYTE, dtype=np.uint8)
        self._fill(out, self._file[f"share_{key}"], part, None)
        return out

    def _index(self, period: str) -> int:
        if period not in self.periods:
            raise ArdError(
                _("File '{}'").format(self.path),
                found=_("no period {}").format(period),
                expected=_("one of {}").format(", ".join(self.periods)),
                then=_("Choose one of these, or write the file again."),
            )
        return self.periods.index(period)

    def _fill(self, out: np.ndarray, variable: h5py.Dataset, part: Grid, t: int | None) -> None:
        common = self.grid.intersection(part)
        if common is None:
            return
        rows, cols = common.slices_in(self.grid)
        try:
            out[common.slices_in(part)] = variable[rows, cols] if t is None else variable[t, rows, cols]
        except (OSError, RuntimeError, ValueError, TypeError) as err:
            raise ArdError(
                _("File '{}' has a damaged part in variable {}").format(self.path, variable.name),
                then=_("Check it with r.s2.ard -c, and write it again."),
            ) from err
