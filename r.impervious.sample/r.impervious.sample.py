#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.impervious.sample
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Draw the reference sample from which areas of change are estimated, and write the sheet in which people read it
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Draws the reference sample from which areas of change are estimated, and writes its labelling sheet.
# % keyword: raster
# % keyword: sampling
# % keyword: accuracy
# % keyword: land cover change
# % keyword: statistics
# %end

# %option
# % key: input
# % type: string
# % key_desc: prefix
# % description: Prefix of r.unet.predict, whose probabilities of gain, loss and sealing the sample is drawn by
# %end

# %option G_OPT_M_DIR
# % key: output
# % required: yes
# % label:
# % description: Folder of the sample
# %end

# %option
# % key: years
# % type: string
# % key_desc: list or range
# % description: Years to be read (default: all of <input>)
# %end

# %option
# % key: points
# % type: integer
# % answer: 600
# % description: Points for gain
# % guisection: Sizes
# %end

# %option
# % key: windows
# % type: integer
# % answer: 240
# % description: Windows of 25 x 25 cells; 0 = points alone
# % guisection: Sizes
# %end

# %option
# % key: loss_points
# % type: integer
# % answer: 150
# % description: Points for loss
# % guisection: Sizes
# %end

# %option
# % key: stock
# % type: integer
# % answer: 300
# % description: Points for sealed land
# % guisection: Sizes
# %end

# %option G_OPT_V_INPUT
# % key: stock_points
# % required: no
# % label: Vector map of points, such as those of LUCAS, that are the stock points
# % description: They must be a random or systematic sample of the land (default: drawn at random)
# % guisection: Sizes
# %end

# %option
# % key: stock_columns
# % type: string
# % multiple: yes
# % key_desc: year=column
# % description: Columns of <stock_points> that say what is sealed in a year: 1 sealed, 0 not
# % guisection: Sizes
# %end

# %option
# % key: halfwidth
# % type: double
# % description: Wanted half-width of the interval of the gain over all years, as a share of it, instead of points and windows
# % guisection: Sizes
# %end

# %option G_OPT_V_INPUT
# % key: zones
# % required: no
# % description: Vector map of regions that get a sample each (default: one sample of the computational region)
# % guisection: Regions
# %end

# %option G_OPT_DB_COLUMN
# % key: column
# % answer: NUTS_ID
# % description: Column of the region codes
# % guisection: Regions
# %end

# %option
# % key: level
# % type: integer
# % answer: 0
# % description: Level of the regions that get a sample each
# % guisection: Regions
# %end

# %option G_OPT_R_INPUT
# % key: gain
# % required: no
# % description: Map of another system: a score that is higher where gain is more likely
# % guisection: Other maps
# %end

# %option G_OPT_R_INPUT
# % key: loss
# % required: no
# % description: Map of another system: a score that is higher where loss is more likely
# % guisection: Other maps
# %end

# %option G_OPT_R_INPUT
# % key: sealed
# % required: no
# % description: Map of another system: mean probability or share of sealed land, 0-1
# % guisection: Other maps
# %end

# %option G_OPT_R_BASENAME_OUTPUT
# % key: prefix
# % required: no
# % answer: sample
# % description: Prefix of the two maps of strata
# %end

# %option
# % key: seed
# % type: integer
# % answer: 1
# % description: Seed of the random numbers
# %end

# %option
# % key: composites
# % type: string
# % key_desc: prefix
# % description: Prefix of r.s2.yearly, whose composites the labelling sheet shows
# % guisection: Sheet
# %end

# %option
# % key: features
# % type: string
# % multiple: yes
# % answer: B12_p50,B11_p50,B04_p50
# % description: Features shown as red, green and blue
# % guisection: Sheet
# %end

# %option
# % key: rasters
# % type: string
# % multiple: yes
# % key_desc: name=map
# % description: Further raster maps that the labelling sheet shows, in their colours; {year} in a name stands for each year
# % guisection: Sheet
# %end

# %option
# % key: wms
# % type: string
# % multiple: yes
# % key_desc: name=address
# % description: Web map services that a reader may open from the sheet
# % guisection: Sheet
# %end

# %option
# % key: format
# % type: string
# % required: no
# % options: plain,json
# % answer: plain
# % description: Format of what is printed
# %end

# %flag
# % key: s
# % description: Write the labelling sheet, one HTML page that needs no network
# %end

# %flag
# % key: l
# % description: List what would be drawn and how long it takes to read; write nothing
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
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.impervious.sample"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("sample", options, flags)


if __name__ == "__main__":
    sys.exit(main())
