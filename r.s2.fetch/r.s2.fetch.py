#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.s2.fetch
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Fetch Sentinel-2 scenes and warp them to the grid
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Fetches Sentinel-2 Level-2A scenes from a STAC catalogue and warps them to the 20 m grid of EPSG:3035.
# % keyword: raster
# % keyword: import
# % keyword: Sentinel-2
# % keyword: STAC
# % keyword: satellite
# %end
# %option
# % key: stac
# % type: string
# % required: no
# % answer: cdse
# % description: Catalogue: cdse, earthsearch, the address of a STAC API, or a file with STAC items
# % guisection: Search
# %end
# %option
# % key: collection
# % type: string
# % required: no
# % description: Collection of the catalogue (default: its collection of Sentinel-2 Level-2A)
# % guisection: Search
# %end
# %option G_OPT_M_DIR
# % key: output
# % required: yes
# % description: Folder of the archive (created if it does not exist)
# %end
# %option G_OPT_V_INPUT
# % key: area
# % required: no
# % description: Vector map whose areas the scenes must cover (default: the current region)
# % guisection: Search
# %end
# %option
# % key: bbox
# % type: string
# % required: no
# % key_desc: west,south,east,north
# % description: Box in degrees that the scenes must cover (default: the current region)
# % guisection: Search
# %end
# %option
# % key: years
# % type: string
# % required: yes
# % description: Years, for example 2017-2019 or 2017,2019
# %end
# %option
# % key: bands
# % type: string
# % required: no
# % multiple: yes
# % answer: B12,B11,B04
# % description: Bands (the scene classification SCL is always fetched as well)
# %end
# %option
# % key: window
# % type: string
# % required: no
# % answer: 04-15/10-15
# % description: Part of each year as mm-dd/mm-dd, both days included
# % guisection: Search
# %end
# %option
# % key: clouds
# % type: double
# % required: no
# % answer: 60
# % options: 0-100
# % description: Maximum cloud cover of a scene in per cent of its valid pixels
# % guisection: Search
# %end
# %option
# % key: scenes
# % type: integer
# % required: no
# % answer: 6
# % options: 1-1000
# % description: Maximum number of scenes per tile and year
# % guisection: Search
# %end
# %option
# % key: tiles
# % type: string
# % required: no
# % multiple: yes
# % description: MGRS tiles, for example 31UFS (default: all tiles of the area)
# % guisection: Search
# %end
# %option
# % key: choice
# % type: string
# % required: no
# % options: clear,bytes
# % answer: clear
# % description: How scenes are chosen where there are more than the maximum
# % descriptions: clear;the most clear ground, complete coverage of the area, dates spread over the season;bytes;the largest files
# % guisection: Search
# %end
# %option
# % key: resampling
# % type: string
# % required: no
# % options: nearest,bilinear,cubic
# % answer: cubic
# % description: Resampling of the bands (SCL is always resampled by nearest neighbour)
# %end
# %option G_OPT_R_BASENAME_OUTPUT
# % key: prefix
# % required: no
# % answer: scenes
# % description: Prefix of the raster maps, and name of their space-time raster dataset
# %end
# %option
# % key: tries
# % type: integer
# % required: no
# % answer: 6
# % options: 1-50
# % description: Maximum number of attempts per file
# % guisection: Network
# %end
# %option
# % key: timeout
# % type: double
# % required: no
# % answer: 120
# % options: 1-3600
# % description: Seconds without an answer after which an attempt ends
# % guisection: Network
# %end
# %option G_OPT_M_NPROCS
# % description: Number of workers that download and decode; 0 = one for each processor, -1 = one less, and so on
# %end
# %option
# % key: scheduler
# % type: string
# % required: no
# % key_desc: address
# % description: Address of a Dask scheduler whose workers do the work, such as tcp://10.0.0.1:8786 (default: this machine does it)
# % guisection: Cluster
# %end
# %option
# % key: format
# % type: string
# % required: no
# % options: plain,json
# % answer: plain
# % description: Output format of what is printed
# % guisection: Print
# %end
# %flag
# % key: l
# % description: List what would be fetched, and exit
# % guisection: Print
# %end
# %flag
# % key: n
# % description: Fill the archive only, create no maps
# %end
# %flag
# % key: i
# % description: Import the scenes into the mapset instead of linking to their files
# %end
# %flag
# % key: k
# % description: End without an error even if some files could not be fetched
# %end
# %rules
# % exclusive: area,bbox
# % exclusive: -n,-i,-l
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
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.s2.fetch"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("fetch", options, flags)


if __name__ == "__main__":
    sys.exit(main())
