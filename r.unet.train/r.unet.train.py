#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.unet.train
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Train a U-Net on analysis-ready data
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Trains a U-Net to map land cover classes from analysis-ready Sentinel-2 data.
# % keyword: raster
# % keyword: classification
# % keyword: deep learning
# % keyword: Sentinel-2
# % keyword: land cover
# %end

# %option G_OPT_F_BIN_INPUT
# % description: Analysis-ready data with labels, an HDF5 file of r.s2.ard
# %end

# %option G_OPT_F_OUTPUT
# % key_desc: folder
# % label: Model folder to write
# % description: Holds the net, its card, the history, the confusion matrix and the training curves
# %end

# %option
# % key: years
# % type: string
# % key_desc: list or range
# % label: Years whose features are trained on, such as 2017-2019 or 2017,2019; default: all of the file
# % description: Labels are those of the label year in any case
# % guisection: Training
# %end

# %option
# % key: patch
# % type: integer
# % options: 8-1024
# % answer: 64
# % description: Side of the training patches in cells, a multiple of 2^depth
# % guisection: Net
# %end

# %option
# % key: filters
# % type: integer
# % options: 1-128
# % answer: 16
# % description: Filters of the first level; they double with each level
# % guisection: Net
# %end

# %option
# % key: depth
# % type: integer
# % options: 1-5
# % answer: 3
# % description: Number of poolings; decides the halo and the gap (3: 48 cells)
# % guisection: Net
# %end

# %option
# % key: epochs
# % type: integer
# % options: 1-1000
# % answer: 20
# % description: Epochs at most; training stops early when validation no longer improves
# % guisection: Training
# %end

# %option
# % key: batch
# % type: integer
# % options: 1-256
# % answer: 8
# % description: Patches in a batch
# % guisection: Training
# %end

# %option
# % key: test
# % type: double
# % options: 0.05-0.5
# % answer: 0.2
# % label: Share of the ground to test on
# % description: Validation ground, for early stopping and calibration, takes half as much again
# % guisection: Training
# %end

# %option
# % key: seed
# % type: integer
# % options: 0-2147483647
# % answer: 1
# % description: Seed of the split, the first weights and the patches
# % guisection: Training
# %end

# %option
# % key: format
# % type: string
# % options: plain,json
# % answer: plain
# % description: Format of the printed figures
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
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.unet.train"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("train", options, flags)


if __name__ == "__main__":
    sys.exit(main())
