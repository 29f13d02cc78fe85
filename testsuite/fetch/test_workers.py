"""r.s2.fetch by the workers of a Dask scheduler: the same files, few connections, lost workers and schedulers, and no key outside of workers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from testsuite.cluster_ground import cluster, meanwhile
from testsuite.fetch_ground import digests
from testsuite.world.faults import Fault

NO_KEYS = dict.fromkeys(
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_S3_ENDPOINT", "AWS_HTTPS"), ""
)
"""For the session's environment: only workers have keys."""


@pytest.fixture
def workers(keys, tmp_path):
    """A scheduler and two workers of four threads, which alone have the keys."""
    with cluster(tmp_path / "cluster", workers=0) as found:
        found.start = lambda: found.start_worker("--nthreads", "4", env=keys.environment())
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: found.start(), range(2)))
        yield found


@pytest.fixture
def options(keys, tmp_path):
    return {"stac": keys.stac_url, "output": tmp_path / "a", "clouds": 100, "years": "2021", "timeout": 20}


def test_a_cluster_fetches_the_same_files_although_a_worker_is_killed(tool, keys, workers, options, expected, tmp_path):
    keys.s3.rules = [Fault("slow", "jp2", seconds=0.5)]
    killer = meanwhile(workers.workers[0].kill, lambda: keys.s3.counts()["requests"] >= 3)
    status, out, err = tool("-n", "--verbose", "--debug", scheduler=workers.address, env=NO_KEYS, **options)
    killer.join()
    assert status == 0, err
    assert "16 fetched, 0 existed before, 0 failed" in out
    found = digests(tmp_path / "a")
    assert expected.items() <= found.items() and len(found) == 16
    # The server counts what was asked for also by the killed worker, whose objects a living one asked for again.
    assert 2 <= keys.s3.counts()["most_at_once"] <= 4 + 4
    assert not list((tmp_path / "a").glob(".session*"))
    said = [out, err, workers.log.read_text(), *(path.read_text() for path in (tmp_path / "a").rglob("*.json"))]
    assert not [text for text in said for key in (keys.access_key, keys.secret_key) if key in text]


def test_a_lost_scheduler_is_one_line_and_the_same_command_continues(tool, keys, workers, options, expected, tmp_path):
    keys.s3.rules = [Fault("slow", "jp2", seconds=0.5)]
    killer = meanwhile(workers.scheduler.kill, lambda: len(list((tmp_path / "a").rglob("[!.]*.json"))) >= 2)
    status, _out, err = tool("-n", scheduler=workers.address, env=NO_KEYS, **options)
    killer.join()
    said = " ".join(err.split())
    assert status == 1 and "Traceback" not in err and err.count("ERROR") == 1, err
    # Of eight threads only as many work as the server allows connections.
    assert "with 4 workers" in said and keys.s3.counts()["most_at_once"] == 4
    assert f"ERROR: The connection to scheduler '{workers.address}' was lost. Finished work is kept." in said
    # The workers end with their scheduler, after what they were doing.
    for worker in workers.workers:
        worker.wait(timeout=60)
    kept = len(digests(tmp_path / "a"))
    assert 2 <= kept < 16
    keys.s3.rules = []
    workers.start_scheduler()
    workers.start()
    status, out, err = tool("-n", scheduler=workers.address, env=NO_KEYS, **options)
    assert status == 0, err
    assert f"{16 - kept} fetched, {kept} existed before, 0 failed" in out
    assert expected.items() <= digests(tmp_path / "a").items()


def test_workers_without_keys_are_told_so(tool, keys, options, tmp_path):
    with cluster(tmp_path / "cluster", workers=1) as found:
        status, _out, err = tool(scheduler=found.address, **options)
    assert status == 1 and "no keys in the environment" in err
    assert keys.access_key not in found.log.read_text() and keys.secret_key not in found.log.read_text()
