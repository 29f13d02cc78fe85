"""Draw what a run estimates, beside its map and the truth of its world: `python -m testsuite.chart RUN OUT.png`.

RUN holds the table as `table` and the world as `world`.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main(words: list[str] | None = None) -> int:
    """Draw the chart; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m testsuite.chart", description="Draw the estimates of a run.")
    parser.add_argument("run", type=Path, help="folder with the table and the world")
    parser.add_argument("out", type=Path, help="PNG file to write")
    args = parser.parse_args(words)
    from testsuite.report_figures import estimated_periods
    from testsuite.report_pictures import draw_estimates

    draw_estimates(estimated_periods(args.run), args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
