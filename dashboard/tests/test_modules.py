"""The modules of www/ under Node: their pure functions have their tests in js/."""

import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

JS = Path(__file__).parent / "js"


def test_modules_pass_their_tests_under_node():
    # Playwright brings a Node of its own, so that none has to be installed.
    node, *_driver = compute_driver_executable()
    files = sorted(map(str, JS.glob("*.test.js")))
    done = subprocess.run([node, "--test", "--test-reporter=tap", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert len(files) == 4 and "# fail 0" in done.stdout
