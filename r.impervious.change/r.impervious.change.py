#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.impervious.change
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Change of impervious land between years, and its table per region
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Maps the change of impervious land between years and writes the table of stocks and flows per region.
# % keyword: raster
# % keyword: change detection
# % keyword: land cover
# % keyword: impervious
# % keyword: statistics
# % keyword: NUTS
# %end

# %option
# % key: input
# % type: string
# % required: no
# % key_desc: prefix
# % label: Prefix of the class maps of r.unet.predict
# % description: Maps are <prefix>_<year>_class, and maps of the history of cells where they exist
# % guisection: Input
# %end

# %option G_OPT_R_INPUTS
# % key: classes
# % required: no
# % label: Class maps of another system, one map per year, in the order of <years>
# % description: Classes 1 artificial, 2 natural, 3 green, 4 other; or any codes with a legend
# % guisection: Input
# %end

# %option G_OPT_R_INPUTS
# % key: shares
# % required: no
# % label: Maps of the share of sealed land, one map per year, in the order of <years>
# % description: 0 to 1, or 0 to 100
# % guisection: Input
# %end

# %option
# % key: share_scale
# % type: string
# % required: no
# % label: Value of a cell that is sealed as a whole in the maps of shares: 1 or 100
# % description: Default: as the values of the maps tell; required where they are whole numbers of which none exceeds 1
# % guisection: Input
# %end

# %option
# % key: years
# % type: string
# % required: no
# % key_desc: list or range
# % label: Years in ascending order, such as 2017-2019 or 2012,2015
# % description: Required with classes and shares; default with input: all years found
# % guisection: Input
# %end

# %option
# % key: legend
# % type: string
# % required: no
# % key_desc: name
# % label: Legend of the class maps: s2glc, prototype, clcplus, worldcover, corine, or a file
# % description: A file contains lines 'code class' or rules of r.reclass; default: the codes are the four classes
# % guisection: Input
# %end

# %option G_OPT_V_INPUT
# % key: zones
# % label: Vector map of the regions
# % description: NUTS areas of one or more levels, EPSG:3035
# % guisection: Regions
# %end

# %option G_OPT_DB_COLUMN
# % key: column
# % required: no
# % answer: NUTS_ID
# % description: Column with the code of the region
# % guisection: Regions
# %end

# %option G_OPT_DB_COLUMN
# % key: parent
# % required: no
# % label: Column with the code of the region that contains a region
# % description: Default: column PARENT, else NUTS codes, else the outlines
# % guisection: Regions
# %end

# %option
# % key: nuts_version
# % type: string
# % required: no
# % answer: 2024
# % description: Version of the regions, for the table
# % guisection: Regions
# %end

# %option
# % key: output
# % type: string
# % required: yes
# % key_desc: folder
# % label: Folder for the table
# % description: Parquet, CSV, outlines and a data package that describes them
# % gisprompt: old,dir,dir
# % guisection: Output
# %end

# %option G_OPT_R_BASENAME_OUTPUT
# % key: prefix
# % required: no
# % answer: change
# % label: Prefix of the change maps
# % description: Maps are <prefix>_<year>_<year>_gain, _loss, _greengain, _fromto, _gainyear, _lossyear, _gainp, _lossp and <prefix>_<year>_consistent
# % guisection: Output
# %end

# %option
# % key: definition
# % type: string
# % required: no
# % multiple: yes
# % options: artificial,artificial_natural
# % label: What counts as impervious (default: artificial_natural; with shares artificial)
# % description: artificial_natural: artificial and natural material surfaces; artificial: artificial surfaces only. Maps and columns use the first
# % guisection: Method
# %end

# %option
# % key: method
# % type: string
# % required: no
# % multiple: yes
# % label: Methods by which the figures are made (default: all that the maps allow)
# % description: The manual page lists them
# % guisection: Method
# %end

# %option G_OPT_F_INPUT
# % key: design
# % required: no
# % label: Design file of r.impervious.sample
# % description: With <sample>: areas estimated from the sample, with intervals
# % guisection: Sample
# %end

# %option
# % key: sample
# % type: string
# % required: no
# % multiple: yes
# % key_desc: file
# % label: Readings of the sample, one CSV file or more
# % description: As the labelling sheet saves them
# % guisection: Sample
# %end

# %option
# % key: vintage
# % type: string
# % required: no
# % key_desc: YYYY-MM-DD
# % description: Date of the table (default: today)
# % guisection: Output
# %end

# %option G_OPT_F_INPUT
# % key: population
# % required: no
# % label: Inhabitants of the regions, for land per inhabitant and SDG 11.3.1
# % description: CSV file with the columns geo, year, persons
# % guisection: Table
# %end

# %option G_OPT_F_INPUT
# % key: jobs
# % required: no
# % label: Jobs in the regions, for land per job
# % description: CSV file with the columns geo, year, jobs
# % guisection: Table
# %end

# %option G_OPT_F_INPUT
# % key: floor
# % required: no
# % label: Floor space finished in the regions, for newly sealed land per floor space
# % description: CSV file with the columns geo, year, floor_m2 (square metres finished in the year)
# % guisection: Table
# %end

# %option
# % key: previous
# % type: string
# % required: no
# % key_desc: folder
# % label: Folder of an earlier table, whose figures are kept and compared
# % description: Its vintage must be earlier than that of the run
# % gisprompt: old,dir,dir
# % guisection: Table
# %end

# %option
# % key: contact
# % type: string
# % required: no
# % label: Whom to ask about the table, such as Land Statistics <land@example.org>
# % description: For the metadata and the dashboard
# % guisection: Table
# %end

# %option
# % key: licence
# % type: string
# % required: no
# % label: Licence of the table, such as CC-BY-4.0
# % description: For the metadata and the dashboard; a name of spdx.org/licenses
# % guisection: Table
# %end

# %option
# % key: schedule
# % type: string
# % required: no
# % label: When figures appear, such as: each year in June
# % description: For the metadata and the dashboard
# % guisection: Table
# %end

# %option G_OPT_M_NPROCS
# % description: Number of processes that add up the maps; 0 = one for each processor, -1 = one less, and so on
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
# % description: Format of the printed summary
# % guisection: Output
# %end

# %flag
# % key: b
# % label: Share cells on borders between regions by area
# % description: Default: a cell counts for the region that holds its centre
# % guisection: Method
# %end

# %flag
# % key: n
# % description: Do not write columns into the table of the zones map
# % guisection: Output
# %end

# %rules
# % required: input,classes,shares
# % exclusive: input,classes,shares
# % requires: classes,years
# % requires: shares,years
# % requires: legend,classes
# % requires: share_scale,shares
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
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.impervious.change"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("change", options, flags)


if __name__ == "__main__":
    sys.exit(main())
