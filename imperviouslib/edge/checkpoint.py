"""The state of a training that is under way, so that a run that was killed continues where it was, and ends with the same model.

The states of a run lie in a folder beside its output, one for each fit and for each long computation between two fits. Each is one file,
written whole; it is read only by a run of the same key.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imperviouslib.edge.files import atomic_write, remove_folder

_KEY = "key"


@dataclass(frozen=True)
class Checkpoint:
    """The state of one part of the training."""

    path: Path
    key: str
    """What determines the part: settings, data, versions, threads."""

    def load(self) -> dict[str, np.ndarray] | None:
        """Return the arrays that were saved last; None where there are none, or of another run."""
        try:
            # Given a path, np.load leaves a damaged file open.
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                arrays = {name: saved[name] for name in saved.files}
        except (OSError, ValueError, zipfile.BadZipFile, EOFError):
            return None
        return arrays if str(arrays.pop(_KEY, "")) == self.key else None

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace the state; raises OSError on a full disk."""
        with atomic_write(self.path) as part, part.open("wb") as file:
            np.savez(file, **{_KEY: np.array(self.key)}, **arrays)

    def once(self, compute: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """Return what was saved, or else compute and save it."""
        arrays = self.load()
        if arrays is None:
            arrays = {name: np.asarray(one) for name, one in compute().items()}
            self.save(arrays)
        return arrays


@dataclass(frozen=True)
class Checkpoints:
    """The states of a run."""

    folder: Path
    key: str

    @classmethod
    def beside(cls, output: Path, key: str) -> Checkpoints:
        """Return the states of the run that writes `output`."""
        return cls(output.with_name(f"{output.name}.unfinished"), key)

    def of(self, name: str) -> Checkpoint:
        """Return the state of one of the run's parts."""
        return Checkpoint(self.folder / f"{name}.npz", f"{self.key} {name}")

    def remove(self) -> None:
        """Remove all states: the run is finished."""
        remove_folder(self.folder)
