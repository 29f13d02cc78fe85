#!/usr/bin/env python3

############################################################################
#
# MODULE:       r.unet.predict
#
# AUTHOR(S):    The r.impervious development team
#
# PURPOSE:      Map land cover classes and their probabilities with a trained U-Net
#
# COPYRIGHT:    (C) 2026 by the r.impervious development team
#
#               SPDX-License-Identifier: GPL-2.0-or-later
#
############################################################################

# %module
# % description: Maps land cover classes and their probabilities with a model of r.unet.train.
# % keyword: raster
# % keyword: classification
# % keyword: deep learning
# % keyword: Sentinel-2
# % keyword: land cover
# %end

# %option G_OPT_F_BIN_INPUT
# % description: HDF5 file of r.s2.ard
# %end

# %option G_OPT_M_DIR
# % key: model
# % required: yes
# % label:
# % description: Model folder of r.unet.train
# %end

# %option G_OPT_R_BASENAME_OUTPUT
# % key: output
# % description: Prefix of the output maps, such as <prefix>_<period>_class and <prefix>_<period>_p_artificial
# %end

# %option
# % key: years
# % type: string
# % key_desc: list or range
# % description: Years to map, such as 2017-2019 or 2017,2019 (default: all in the file)
# %end

# %option
# % key: engine
# % type: string
# % options: auto,openvino,tensorflow
# % answer: auto
# % description: Inference engine; auto uses the first one that is installed and whose files the model has
# %end

# %option G_OPT_M_NPROCS
# % description: Number of threads that compute, and of maps that are imported at a time; 0 = one for each processor, -1 = one less, and so on
# %end

# %option
# % key: scheduler
# % type: string
# % required: no
# % key_desc: address
# % description: Address of a Dask scheduler whose workers do the work, such as tcp://10.0.0.1:8786 (default: this machine does it)
# % guisection: Cluster
# %end

# %flag
# % key: f
# % description: Fast: compute the U-Net in bf16, where the processor has it; some cells change class
# %end

# %flag
# % key: l
# % description: Link the maps to GeoTIFFs in the mapset instead of importing them
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
    sys.path[:0] = [os.path.join(here, "..", "etc", "r.unet.predict"), os.path.join(here, "..")]
    from imperviouslib.edge.tool import run

    return run("predict", options, flags)


if __name__ == "__main__":
    sys.exit(main())
