"""The modules of www/ under Node: their pure functions have their tests in js/."""

import shutil
import subprocess
from pathlib import Path

import pytest

JS = Path(__file__).parent / "js"


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed, so the modules' own tests did not run")
def test_modules_pass_their_tests_under_node():
    files = sorted(map(str, JS.glob("*.test.js")))
    done = subprocess.run(["node", "--test", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert len(files) == 3 and "# fail 0" in done.stdout
