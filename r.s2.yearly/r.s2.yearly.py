#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.s2.yearly
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Make cloud-masked composites per period
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Makes cloud-masked yearly, seasonal or monthly composites from an archive of Sentinel-2 scenes.
# % keyword: raster
# % keyword: time series
# % keyword: Sentinel-2
# % keyword: composite
# % keyword: cloud mask
# %end
# %option G_OPT_M_DIR
# % key: input
# % required: yes
# % description: Archive folder written by r.s2.fetch
# %end
# %option G_OPT_R_BASENAME_OUTPUT
# % key: output
# % required: no
# % description: Prefix of the composites and name of their space-time dataset
# %end
# %option
# % key: years
# % type: string
# % required: no
# % description: Years, such as 2017-2019 or 2017,2019 (default: all years in the archive)
# %end
# %option
# % key: period
# % type: string
# % required: no
# % multiple: yes
# % answer: year
# % description: Periods of the composites: year, season, month or a window of each year, such as leaf:05-01/09-30
# %end
# %option
# % key: bands
# % type: string
# % required: no
# % multiple: yes
# % answer: B12,B11,B04
# % description: Bands and indices to composite; the index NDVI is computed from B8A and B04
# %end
# %option
# % key: tiles
# % type: string
# % required: no
# % multiple: yes
# % answer: common
# % description: Tiles to use: common (those that all years have), all, or a list such as 31UDS,31UES
# %end
# %option
# % key: method
# % type: string
# % required: no
# % options: median,medoid,best,latest,largest
# % answer: median
# % description: How to make a composite of the observations
# % descriptions: median;median of the clear observations, band by band;medoid;the clear observation whose spectrum is nearest to all others;best;the clear observation with the best score: far from clouds and near the middle of the period;latest;the last clear observation;largest;for each tile the scene with the most bytes, without a cloud mask (for comparison with older mosaics)
# %end
# %option
# % key: statistics
# % type: string
# % required: no
# % multiple: yes
# % description: Statistics of each band and index beside the median: min, max or percentiles such as p10,p90
# %end
# %option
# % key: mask
# % type: string
# % required: no
# % options: scl,dates
# % answer: dates
# % description: How to find clouds and shadows
# % descriptions: scl;by the scene classification (SCL);dates;by the scene classification, except for cells that it takes for cloud on all dates, such as bright roofs
# %end
# %option
# % key: dilate
# % type: integer
# % required: no
# % answer: 1
# % options: 0-50
# % description: Number of cells by which clouds and their shadows are dilated
# %end
# %option G_OPT_F_OUTPUT
# % key: report
# % required: no
# % description: JSON file for a report of tiles, holes and periods; with -c a report of the check
# %end
# %option G_OPT_V_OUTPUT
# % key: tilemap
# % required: no
# % description: Vector map of the tiles, with the years that each tile has and lacks
# %end
# %option G_OPT_M_NPROCS
# % description: Number of processes that make composites; 0 = one for each processor, -1 = one less, and so on
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
# % description: Output format
# % guisection: Print
# %end
# %flag
# % key: c
# % description: Only check the files of the archive and the alignment of its years; exit status 1 if anything is wrong
# %end
# %flag
# % key: l
# % description: Link the composites to GeoTIFFs in the mapset instead of importing them
# %end
# %flag
# % key: q
# % description: Also map the spread of dates and the quality
# %end
# %rules
# % required: output,-c
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
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.s2.yearly"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("yearly", options, flags)


if __name__ == "__main__":
    sys.exit(main())
