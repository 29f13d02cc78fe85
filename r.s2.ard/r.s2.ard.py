#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.s2.ard
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Write composites and labels as analysis-ready HDF5
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Writes composites and land cover labels as analysis-ready data (HDF5), or checks such a file.
# % keyword: raster
# % keyword: export
# % keyword: Sentinel-2
# % keyword: land cover
# % keyword: HDF5
# %end
# %option
# % key: input
# % type: string
# % key_desc: basename or file
# % required: yes
# % description: Prefix of the composites made by r.s2.yearly; with -c the HDF5 file to check
# %end
# %option G_OPT_F_OUTPUT
# % key: output
# % required: no
# % description: HDF5 file to write
# %end
# %option
# % key: years
# % type: string
# % required: no
# % description: Years, such as 2017-2019 or 2017,2019 (default: all composites of the prefix)
# %end
# %option
# % key: features
# % type: string
# % required: no
# % multiple: yes
# % description: Features such as B12_p50, in the order of the model's input (default: all)
# %end
# %option
# % key: stack
# % type: string
# % required: no
# % multiple: yes
# % description: Composites of each year to stack as features of that year, such as year,spring,summer or 04,06,09 (default: each composite is a period)
# %end
# %option G_OPT_R_INPUT
# % key: labels
# % required: no
# % description: Land cover map for the labels, of any resolution
# % guisection: Labels
# %end
# %option
# % key: label_year
# % type: integer
# % required: no
# % answer: 2017
# % description: Year that the labels show (2017 for S2GLC; set it for other maps)
# % guisection: Labels
# %end
# %option
# % key: legend
# % type: string
# % required: no
# % answer: s2glc
# % description: Legend of the labels: s2glc, prototype, clcplus, worldcover, corine, or a file with lines 'code class' or rules of r.reclass
# % guisection: Labels
# %end
# %option G_OPT_F_OUTPUT
# % key: rules
# % required: no
# % description: File to write the legend to as rules of r.reclass; edit it to use it as legend
# % guisection: Labels
# %end
# %option G_OPT_R_INPUT
# % key: clean
# % required: no
# % description: Second land cover map; labels that it contradicts are left out
# % guisection: Labels
# %end
# %option
# % key: clean_legend
# % type: string
# % required: no
# % answer: corine
# % description: Legend of the second land cover map
# % guisection: Labels
# %end
# %option
# % key: ties
# % type: string
# % required: no
# % options: balanced,lowest,highest
# % answer: balanced
# % description: Which class a cell gets if two classes are equally frequent
# % guisection: Labels
# %end
# %option G_OPT_M_DIR
# % key: plot
# % required: no
# % description: Folder for images of each period and of the labels
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
# % description: Only check the file; exit status 1 if anything is wrong
# %end
# %flag
# % key: f
# % description: Write features as float32 with NaN instead of integers
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
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.s2.ard"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("ard", options, flags)


if __name__ == "__main__":
    sys.exit(main())
