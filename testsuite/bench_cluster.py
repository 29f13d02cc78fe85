"""Two workers of a Dask scheduler against one, each with one thread, for stages that mostly compute. What starts once a run is left out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from imperviouslib.core.periods import PeriodKind, resolve_periods
from imperviouslib.core.recipe import Recipe
from testsuite import bench_predict, bench_yearly
from testsuite.archive_ground import BANDS
from testsuite.bench import best_of, case, grass_session
from testsuite.cluster_ground import cluster

TARGET = 1 / 1.7
"""Two workers shall be 1.7 times as fast as one."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def _two_against_one(
    work: Callable[[Any], Any], tasks: Sequence[Any], shared: Sequence[Path], packages: Sequence[str]
) -> tuple[float, float]:
    """Return the seconds of two workers and of one for the same tasks."""
    from imperviouslib.edge.schedule import open_crew

    def measure(workers: int) -> float:
        with tempfile.TemporaryDirectory() as folder, cluster(Path(folder) / "c", workers=0) as found:
            for _worker in range(workers):
                found.start_worker(env=_ONE_THREAD)
            with grass_session(), open_crew(1, found.address, shared=shared, packages=packages) as crew:
                # The first tasks load library, net and files.
                list(crew.in_order(work, tasks[:1] * (2 * workers)))
                return best_of(lambda: list(crew.in_order(work, tasks)), 5)

    return measure(2), measure(1)


@case("cluster", "8 blocks of composites, two workers against one, seconds", target=TARGET)
def composites() -> tuple[float, float]:
    from imperviouslib.stage.yearly.scenes import read_scenes, resolve_tasks
    from imperviouslib.work.compose import block_task, compose

    with grass_session():
        recipe, grid = Recipe("median", "dates", 1, "all", BANDS), bench_yearly.GRID
        archive = bench_yearly._archive()
        (task,) = resolve_tasks(
            resolve_periods([2018], [PeriodKind("year")]), read_scenes(archive, BANDS, grid), recipe, grid
        )
    # Blocks of one size, so that both workers have as much to do.
    side = grid.width // 4
    tasks = [block_task(block, task) for block in grid.parts(2 * side, side)][:8]
    return _two_against_one(compose, tasks, [archive], ["rasterio"])


@case("cluster", "4 windows of predictions, two workers against one, seconds", target=TARGET)
def predictions() -> tuple[float, float]:
    from imperviouslib.core.network import net_halo
    from imperviouslib.edge.ardfile import ArdFile
    from imperviouslib.work.predict import Model, Source, predict_window, window_tasks

    path, grid, _net, folder = bench_predict.place()
    model = Model(folder, "0", "openvino", 1, False, net_halo(3))
    with ArdFile.open(path) as ard:
        tasks = list(window_tasks(Source(path, ard.digest), model, ard, "2017", net_halo(3), grid))
    whole = sorted(tasks, key=lambda task: -task.core.width * task.core.height)[:4]
    return _two_against_one(predict_window, whole, [path], ["h5py", "openvino"])
