"""The tools by the workers of a Dask scheduler: the same results as on one machine, and one line where a cluster cannot do the work.

Scheduler and workers are real, on loopback. They have no GRASS, and no library but what the session sends them.
"""

import contextlib
import dataclasses
import functools
import os
import shutil
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dask import config as dask_config

from imperviouslib.core.errors import ClusterError
from imperviouslib.core.grid import Grid
from imperviouslib.core.tally import CodeCounts, ValueSums
from imperviouslib.edge import worker
from imperviouslib.edge.files import sha256_file
from imperviouslib.edge.schedule import Alone, WorkerDiedError, open_crew
from testsuite import TOP, namespaces, test_change
from testsuite.archive_ground import even_scene, write_scene
from testsuite.cluster_ground import cluster, wait_until
from testsuite.grass_session import Session
from testsuite.test_change import three_years  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    """A scheduler with two workers."""
    with cluster(tmp_path_factory.mktemp("cluster") / "c") as found:
        yield found


def test_results_come_in_order_from_both_workers_which_know_nothing_of_the_session(dask, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "PLANTED")
    with open_crew(scheduler=dask.address) as crew:
        assert crew.is_remote and crew.at_once == 2
        # A function of the library; a worker has no other of ours.
        found = list(crew.in_order(worker.version_of, iter(["numpy", "none", *["h5py"] * 9])))
        assert [task for task, _ in found[:3]] == ["numpy", "none", "h5py"]
        assert found == list(Alone().in_order(worker.version_of, ["numpy", "none", *["h5py"] * 9]))
        (failed,) = crew.as_finished(Path.stat, [Path("/nonexistent")])
        assert isinstance(failed[1], FileNotFoundError)
        with pytest.raises(FileNotFoundError):
            list(crew.in_order(Path.stat, [Path("/"), Path("/nonexistent"), Path("/")]))
    assert "PLANTED" not in dask.log.read_text() and "nonexistent" not in dask.log.read_text()


def test_tasks_are_given_as_they_are_needed(dask, monkeypatch):
    taken = []
    with (
        open_crew(scheduler=dask.address) as crew,
        contextlib.closing(crew.in_order(abs, (taken.append(n) or n for n in range(30)))) as results,
    ):
        for number, (_task, result) in enumerate(results):
            assert result == number and len(taken) <= number + 2 * crew.at_once + 1
    assert len(taken) == 30
    # Of tasks that are too large for two there is one at a time.
    monkeypatch.setattr("imperviouslib.edge.cluster._MOST_BYTES", 1)
    taken.clear()
    with open_crew(scheduler=dask.address) as crew:
        for number, _result in enumerate(crew.in_order(abs, (taken.append(n) or n for n in range(5)))):
            assert len(taken) == number + 1
    assert len(taken) == 5


def test_a_task_that_kills_its_workers_fails_alone(tmp_path):
    """Two workers end by it, as many as the scheduler of the tests allows; a third does the other tasks."""
    with cluster(tmp_path / "c", workers=3) as found, open_crew(scheduler=found.address) as crew:
        results = dict(crew.as_finished(signal.raise_signal, [0, signal.SIGKILL, 0]))
        assert isinstance(results.pop(signal.SIGKILL), WorkerDiedError)
        assert results == {0: None}
        assert sum(worker.poll() is not None for worker in found.workers) == 2


def test_what_does_not_fit_is_one_line_that_names_the_worker(dask, tmp_path, monkeypatch):
    def refusal(who="Worker 'tcp://127.0.0.1:", **more):
        with pytest.raises(ClusterError) as caught, open_crew(scheduler=dask.address, **more):
            pass
        assert str(caught.value).startswith(who)
        return str(caught.value)

    gone, real = tmp_path / "gone", worker.demand
    gone.mkdir()

    def demand(*words, **changes):
        """What the session asks, which is then changed so that no worker has it."""
        made = dataclasses.replace(real(*words), **changes)
        gone.rmdir()
        return made

    monkeypatch.setattr("imperviouslib.edge.cluster.demand", demand)
    assert f"does not see '{gone}'. Put it on storage that all workers share" in refusal(shared=[gone])
    for versions, found in (
        ((("Python", "2.7"),), f"found Python {worker.version_of('Python')}, expected Python 2.7"),
        ((("Python", worker.version_of("Python")), ("distributed", "1")), "expected distributed 1"),
        ((*real("", (), ()).versions, ("rasterio", "0.1")), "expected rasterio 0.1"),
        ((*real("", (), ()).versions, ("imaginary", "0.1")), "found no imaginary, expected imaginary 0.1"),
    ):
        gone.mkdir()
        monkeypatch.setattr("imperviouslib.edge.cluster.demand", functools.partial(demand, versions=versions))
        # Python and Dask are compared on the scheduler too, before any code is sent.
        said = refusal("Scheduler 'tcp://") if len(versions) < 3 else refusal()
        assert found in said and "packages that this session has" in said


def test_tls_with_the_settings_of_dask_and_a_worker_that_comes_late(tmp_path, monkeypatch):
    """Without its key, the session is refused; and it says that it waits where there is no worker."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate")
    pem = {kind: tmp_path / f"{kind}.pem" for kind in ("cert", "key")}
    made = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cluster")
    files = ("-keyout", str(pem["key"]), "-out", str(pem["cert"]))
    subprocess.run(["openssl", "req", *made, *files], check=True, capture_output=True)
    names = {"ca-file": pem["cert"], "cert": pem["cert"], "key": pem["key"]}
    words = tuple(word for name, path in names.items() for word in (f"--tls-{name}", str(path)))
    said = []
    monkeypatch.setattr("imperviouslib.edge.cluster.grass.message", said.append)
    with cluster(tmp_path / "c", workers=0, words=("--protocol", "tls", *words)) as found:
        assert found.address.startswith("tls://")
        with pytest.raises(ClusterError, match="does not answer"), open_crew(scheduler=found.address):
            pass
        settings = dict(zip(("ca-file", "client.cert", "client.key"), names.values(), strict=True))
        tls = {f"distributed.comm.tls.{key}": str(path) for key, path in settings.items()}
        with ThreadPoolExecutor(1) as thread:
            late = thread.submit(lambda: (wait_until(lambda: said), found.start_worker()))
            with dask_config.set(tls), open_crew(scheduler=found.address) as crew:
                assert list(crew.in_order(abs, [-1, -2])) == [(-1, 1), (-2, 2)]
            late.result()
    assert said == [f"Scheduler '{found.address}' has no worker. Waiting for one..."]


def test_another_library_on_a_worker_is_refused(dask, monkeypatch):
    from imperviouslib.edge import cluster as module

    with open_crew(scheduler=dask.address):
        pass
    pack = module._pack_library
    monkeypatch.setattr(module, "_pack_library", lambda: ("imperviouslib-other", pack()[1]))
    with (
        pytest.raises(ClusterError, match=r"another version of the library .*Restart the worker"),
        open_crew(scheduler=dask.address),
    ):
        pass


def test_sums_of_change_are_the_same_bit_for_bit(dask, mapset, monkeypatch):
    """Several bands of several strips, whose cells are given to workers."""
    import grass.script as gs

    from imperviouslib.stage.change import tally

    monkeypatch.setattr(tally, "_BAND_ROWS", 6)
    monkeypatch.setattr(tally, "_STRIP_CELLS", 2 * 30 * 4)
    grid = Grid(0, 0, 600, 400)
    gs.run_command("g.region", n=400, s=0, w=0, e=600, res=20, quiet=True)
    gs.mapcalc("zones = 1 + (3 * row() + col()) % 7", quiet=True)
    gs.mapcalc("parts = 1 + row() % 3", quiet=True)
    gs.mapcalc("codes = if(row() + col() % 5, col() % 4, null())", quiet=True)
    gs.mapcalc("values = 1.0 / (3 * row() + 7 * col())", quiet=True)
    found = []
    with open_crew(scheduler=dask.address) as crew:
        for each in (None, crew):
            sums, counts = ValueSums("values"), CodeCounts("codes")
            run = tally.Tally({0: "zones", 1: "parts"}, grid, each)
            run.measures += [sums, counts]
            run.run()
            found.append((sums.sums(run.members), counts.counts(run.members), run.members))
    assert found[0] == found[1] and len(found[0][0]) == 10 - 3


def test_the_table_of_change_is_the_same_and_refusals_are_one_line(dask, three_years):  # noqa: F811
    folder = three_years
    words = ("input=lc", "zones=nuts", "vintage=2026-01-01", "years=2018-2019", "-n", "--o")

    def run(name, *more, **env):
        return test_change.tool(*words, f"output={folder / name}", "prefix=ch", *more, **env)

    def refused(address, **env):
        done = run("no", f"scheduler={address}", **env)
        assert done.returncode == 1 and "Traceback" not in done.stderr and not (folder / "no").exists()
        return " ".join(done.stderr.split())

    for name, more in (("here", ()), ("there", (f"scheduler={dask.address}",))):
        done = run(name, *more)
        assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (folder / "here").iterdir() if path.name != "datapackage.json")
    assert names
    assert all((folder / "here" / name).read_bytes() == (folder / "there" / name).read_bytes() for name in names)
    assert "Option <scheduler>: found '127.0.0.1', expected the address of a Dask scheduler" in refused("127.0.0.1")
    (folder / "poison").mkdir()
    (folder / "poison" / "dask.py").write_text("raise ModuleNotFoundError('none', name='dask')\n")
    said = refused(dask.address, PYTHONPATH=os.pathsep.join([str(folder / "poison"), os.environ["PYTHONPATH"]]))
    assert "Python package <distributed> is not installed" in said and "requirements-cluster.txt" in said


def test_an_address_without_a_scheduler_is_one_line(monkeypatch):
    monkeypatch.setattr("imperviouslib.edge.cluster._CONNECT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    with (
        pytest.raises(
            ClusterError, match=rf"Option <scheduler>: '{free}' does not answer .*Start it, or correct the address"
        ),
        open_crew(scheduler=free),
    ):
        pass


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"x"])
def test_another_program_at_the_address_is_one_line(monkeypatch, greeting):
    """Silent as an HTTP server, or with a greeting of its own: Dask's client would wait for minutes."""
    monkeypatch.setattr("imperviouslib.edge.cluster._CONNECT_S", 1)
    held = []

    def greet(server):
        held.append(server.accept()[0])
        held[0].sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet, args=(server,))
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"does not answer"), open_crew(scheduler=address):
            pass
        thread.join()
    held[0].close()


def test_workers_on_other_networks_make_the_same_composite(location, grass_env, tmp_path):
    """As on several machines: each worker has a network of its own, and only storage is shared."""
    if reason := namespaces.missing():
        pytest.skip(f"this machine allows no network namespaces: {reason}")
    # Two blocks; the archive covers a corner of the first.
    grid = Grid(4_450_800, 3_282_000, 4_450_800 + 1100 * 20, 3_282_000 + 50 * 20)
    west = Grid(grid.west, grid.south, grid.west + 800, grid.north)
    for month in (5, 6, 7):
        write_scene(tmp_path / "a", "32UPD", f"2018-{month:02d}-01", west, even_scene(west, 1000 + month))
    session = Session(location / "other_networks", grass_env)
    session.region(grid)
    words = ("r.s2.yearly", f"input={tmp_path / 'a'}", "tiles=all", "-l")
    session(*words, "output=here")
    far = ("grass", str(session.mapset), "--exec", *words, "output=there", "scheduler={scheduler}")
    done = subprocess.run(
        namespaces.command(tmp_path / "c", *far), cwd=TOP, env=grass_env, capture_output=True, text=True, timeout=300
    )
    log = (tmp_path / "c" / "log.txt").read_text()
    assert done.returncode == 0, done.stderr + log[-3000:]
    assert "tcp://10.77.1.2:" in log and "tcp://10.77.2.2:" in log
    digests = {}
    for path in (session.mapset / "linked").iterdir():
        prefix, _, layer = path.name.partition("_")
        digests.setdefault(prefix, {})[layer.partition(".")[0]] = sha256_file(path)
    assert len(digests["here"]) == 4 and digests["here"] == digests["there"]
