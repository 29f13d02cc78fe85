#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.s2.ard
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Write labels and composites as analysis-ready HDF5
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Writes yearly composites and labels as analysis-ready data (HDF5), or checks such a file.
# % keyword: raster
# % keyword: Sentinel-2
# % keyword: analysis-ready data
# % keyword: land cover
# %end

import os
import sys

import grass.script as gs


def main():
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ["IMPERVIOUS_DEBUG"] = "1"
    options, flags = gs.parser()
    # The library lies in etc/<tool> once installed, and beside the tool's folder in the source tree.
    here = os.path.dirname(os.path.realpath(__file__))
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.s2.ard"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("ard", options, flags)


if __name__ == "__main__":
    sys.exit(main())
