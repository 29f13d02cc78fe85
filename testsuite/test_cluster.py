"""The tools by the workers of a Dask scheduler: the same results as on one machine, and one line where a cluster cannot do the work.

Scheduler and workers are real, on loopback. They have no GRASS, and no library but what the session sends them.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dask import config as dask_config

from imperviouslib.core.errors import ClusterError
from imperviouslib.core.grid import Grid
from imperviouslib.core.tally import CodeCounts, ValueSums
from imperviouslib.edge import worker
from imperviouslib.edge.files import sha256_file
from imperviouslib.edge.schedule import Alone, WorkerDiedError, open_crew
from testsuite import TOP, mounts, namespaces, test_change
from testsuite.archive_ground import even_scene, write_scene
from testsuite.cluster_ground import cluster, losing_cluster, wait_until
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
        # Where a connection is lost while a result comes, the event loop logs a traceback.
        assert not logging.getLogger("tornado.application").isEnabledFor(logging.ERROR)
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
        # The connection of a process ends a moment before the process.
        wait_until(lambda: sum(worker.poll() is not None for worker in found.workers) == 2)


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


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A certificate of itself and its key: kind to path."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate")
    return make_pem(tmp_path_factory.mktemp("pem"))


def make_pem(folder):
    """Make a certificate of itself and its key: kind to path."""
    pem = {kind: folder / f"{kind}.pem" for kind in ("cert", "key")}
    made = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=cluster")
    files = ("-keyout", str(pem["key"]), "-out", str(pem["cert"]))
    subprocess.run(["openssl", "req", *made, *files], check=True, capture_output=True)
    return pem


@pytest.fixture(scope="module")
def tls_words(pem):
    """Words of the command line of a scheduler that speaks TLS."""
    return (
        "--protocol",
        "tls",
        "--tls-ca-file",
        str(pem["cert"]),
        "--tls-cert",
        str(pem["cert"]),
        "--tls-key",
        str(pem["key"]),
    )


@pytest.fixture(scope="module")
def tls_settings(pem):
    """Dask's settings of a session that speaks TLS."""
    settings = {"ca-file": pem["cert"], "client.cert": pem["cert"], "client.key": pem["key"]}
    return {f"distributed.comm.tls.{key}": str(path) for key, path in settings.items()}


def test_tls_with_the_settings_of_dask_and_a_worker_that_comes_late(tmp_path, monkeypatch, tls_words, tls_settings):
    """Without its key, the session is refused; and it says that it waits where there is no worker."""
    said = []
    monkeypatch.setattr("imperviouslib.edge.cluster.grass.message", said.append)
    with cluster(tmp_path / "c", workers=0, words=tls_words) as found:
        assert found.address.startswith("tls://")
        for gone in ({}, {**tls_settings, "distributed.comm.tls.client.key": str(tmp_path / "gone.pem")}):
            with (
                dask_config.set(gone),
                pytest.raises(ClusterError, match=r"needs the session's files for TLS .*Set DASK_DISTRIBUTED__"),
                open_crew(scheduler=found.address),
            ):
                pass
        other = {**tls_settings, "distributed.comm.tls.ca-file": str(make_pem(tmp_path)["cert"])}
        for address, settings in ((found.address, other), (found.address.replace("tls", "tcp"), tls_settings)):
            with (
                monkeypatch.context() as patch,
                dask_config.set(settings),
                pytest.raises(ClusterError, match=rf"'{address}' does not answer"),
            ):
                patch.setattr("imperviouslib.edge.cluster._CONNECT_S", 1)
                with open_crew(scheduler=address):
                    pass
        with ThreadPoolExecutor(1) as thread:
            late = thread.submit(lambda: (wait_until(lambda: said), found.start_worker()))
            with dask_config.set(tls_settings), open_crew(scheduler=found.address) as crew:
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

    # The last run loses a worker in its second pass over the maps.
    with losing_cluster(folder / "c", "add_strip") as losing:
        for name, address in (("here", ""), ("there", dask.address), ("cut", losing.address)):
            done = run(name, f"scheduler={address}")
            assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (folder / "here").iterdir() if path.name != "datapackage.json")
    assert names
    for other in ("there", "cut"):
        assert all((folder / "here" / name).read_bytes() == (folder / other / name).read_bytes() for name in names)
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
@pytest.mark.parametrize(("scheme", "speaks_tls"), [("tcp", False), ("tls", False), ("tls", True)])
def test_another_program_at_the_address_is_one_line(monkeypatch, pem, tls_settings, scheme, speaks_tls, greeting):
    """Silent as an HTTP server, or with a greeting of its own: Dask's client would wait for minutes."""
    monkeypatch.setattr("imperviouslib.edge.cluster._CONNECT_S", 1)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem["cert"], pem["key"])
    held = []

    def greet(server):
        held.append(server.accept()[0])
        if speaks_tls:
            held.append(context.wrap_socket(held.pop(), server_side=True))
        held[0].sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet, args=(server,))
        thread.start()
        address = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        with (
            dask_config.set(tls_settings),
            pytest.raises(ClusterError, match=rf"'{address}' does not answer .*Start it, or correct the address"),
            open_crew(scheduler=address),
        ):
            pass
        thread.join()
    held[0].close()


def test_a_scheduler_without_tls_at_an_address_with_tls_is_one_line(dask, tls_settings):
    address = dask.address.replace("tcp://", "tls://")
    with (
        dask_config.set(tls_settings),
        pytest.raises(ClusterError, match=rf"'{address}' does not answer"),
        open_crew(scheduler=address),
    ):
        pass


@pytest.mark.parametrize("comes_late", [False, True])
def test_a_worker_without_room_for_the_library_is_named(tmp_path, comes_late):
    """Dask itself lets one that comes late take part, and its tasks then fail."""
    if reason := mounts.missing():
        pytest.skip(f"this system gives no disk to fill: {reason}")
    disk = tmp_path / "disk"
    said = rf"Worker 'tcp://127.* cannot unpack the library in '{disk}/.*No space left on device\). Make room there"
    with cluster(tmp_path / "c", workers=int(comes_late)) as found:
        start = lambda: found.start_worker("--local-directory", str(disk), before=mounts.on_small_disk(disk, "100k"))  # noqa: E731
        if not comes_late:
            start()
        with pytest.raises(ClusterError, match=said), open_crew(scheduler=found.address) as crew:
            assert comes_late and list(crew.in_order(abs, [-1])) == [(-1, 1)]
            start()
            list(crew.in_order(abs, range(100)))


def test_a_worker_whose_disk_is_full_keeps_its_results_in_memory(tmp_path):
    """Each result is larger than what the worker may keep in memory, and than its disk."""
    if reason := mounts.missing():
        pytest.skip(f"this system gives no disk to fill: {reason}")
    disk = tmp_path / "disk"
    memory = {"TARGET": "1e-6", "SPILL": "False", "PAUSE": "False", "TERMINATE": "False"}
    env = {f"DASK_DISTRIBUTED__WORKER__MEMORY__{name}": value for name, value in memory.items()}
    with cluster(tmp_path / "c", workers=0) as found:
        place = ("--local-directory", str(disk), "--memory-limit", "1GB")
        found.start_worker(*place, env=env, before=mounts.on_small_disk(disk, "4m"))
        with open_crew(scheduler=found.address) as crew:
            for number, made in crew.in_order(np.arange, [600_000 + number for number in range(4)]):
                assert np.array_equal(made, np.arange(number))
        assert "Spill to disk failed" in found.log.read_text() and "No space left on device" in found.log.read_text()


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
