"""For all tests of the suite: no network but loopback, neither here nor in the programs that the tests start."""

import os
import runpy
import signal
from pathlib import Path

_GUARD = Path(__file__).parent / "testsuite" / "guard"


def pytest_configure(config):
    # A shell that runs the tests in its background lets them ignore Ctrl-C, and so all that they start; some tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    runpy.run_path(str(_GUARD / "sitecustomize.py"))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_GUARD), os.environ.get("PYTHONPATH")]))
    # Clients that are not Python (Rust, libcurl) go by these: nothing listens on the port, so any other address fails at once.
    for scheme in ("http", "https", "all"):
        for variable in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY"):
            os.environ[variable] = "http://127.0.0.1:9"
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"
    # Matplotlib and Keras keep settings under HOME, which a test must not depend on.
    os.environ.setdefault("MPLBACKEND", "Agg")
