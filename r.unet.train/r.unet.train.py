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
# % description: Trains a U-Net to classify land cover from analysis-ready Sentinel-2 data.
# % keyword: raster
# % keyword: classification
# % keyword: deep learning
# % keyword: Sentinel-2
# % keyword: land cover
# %end

# %option G_OPT_F_BIN_INPUT
# % multiple: yes
# % description: HDF5 file of r.s2.ard with labels, or several: places that are trained on together
# %end

# %option G_OPT_F_OUTPUT
# % key_desc: folder
# % label: Name for output model folder
# % description: Holds the network, its card, the training history and curves, and the confusion matrix
# %end

# %option
# % key: years
# % type: string
# % key_desc: list or range
# % label: Years whose features are trained on, such as 2017-2019 or 2017,2019 (default: all in the file)
# % description: The labels are always those of the label year
# % guisection: Training
# %end

# %option
# % key: patch
# % type: integer
# % options: 0-1024
# % answer: 0
# % label: Side of the training patches in cells, a multiple of 2^depth
# % description: 0: 16, or 2^depth where that is more
# % guisection: Network
# %end

# %option
# % key: filters
# % type: integer
# % options: 1-128
# % answer: 16
# % description: Number of filters in the first level; it doubles with each level
# % guisection: Network
# %end

# %option
# % key: depth
# % type: integer
# % options: 0-5
# % answer: 0
# % label: Number of pooling levels (1 to 5); halo and gap are then 8, 24, 48, 96 or 192 cells wide
# % description: 0: 3, 2 or 1, the largest for which validation and test ground are sufficient
# % guisection: Network
# %end

# %option
# % key: epochs
# % type: integer
# % options: 1-1000
# % answer: 20
# % description: Maximum number of epochs; training stops early when the validation loss no longer improves
# % guisection: Training
# %end

# %option
# % key: batch
# % type: integer
# % options: 1-256
# % answer: 32
# % description: Number of patches per batch
# % guisection: Training
# %end

# %option
# % key: test
# % type: double
# % options: 0.05-0.5
# % answer: 0.2
# % label: Share of the ground that is kept for testing
# % description: Half as much is kept for validation, that is for early stopping and calibration
# % guisection: Training
# %end

# %option
# % key: seed
# % type: integer
# % options: 0-2147483647
# % answer: 1
# % description: Seed of the split, the initial weights and the patches
# % guisection: Training
# %end

# %option
# % key: format
# % type: string
# % options: plain,json
# % answer: plain
# % description: Output format of the printed accuracy
# %end

# %flag
# % key: f
# % label: Fit in mixed precision (bf16 where it is sufficient), which is faster on GPUs
# % description: Weights are float32 and maps are computed in it; another model comes out
# % guisection: Training
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
