"""For all tests: no network but loopback, neither in this process nor in the programs that the tests start."""

import os
import runpy
import signal
from pathlib import Path

_GUARD = Path(__file__).parent / "testsuite" / "guard"


def pytest_configure(config):
    # In the background of a shell Ctrl-C is ignored, also by all programs that the tests start; some tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    runpy.run_path(str(_GUARD / "sitecustomize.py"))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_GUARD), os.environ.get("PYTHONPATH")]))
    # Clients not written in Python (Rust, libcurl) use this proxy. Nothing listens there, so all other addresses fail at once.
    for scheme in ("http", "https", "all"):
        for variable in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY"):
            os.environ[variable] = "http://127.0.0.1:9"
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"
    # Tests must not depend on the user's settings of Matplotlib.
    os.environ.setdefault("MPLBACKEND", "Agg")
