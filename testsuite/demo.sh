# The chain, as you would type it inside a GRASS session; testsuite/demo.py starts it with
#   grass grassdata/europe/demo --exec bash demo.sh
# in the folder build/demo, after it has made and served a small world in archive/ and installed the tools.
# Each line that begins with `run` is a stage's name and an ordinary command; `run` prints it, times it, and leaves it out
# where the same command has been finished before.
set -euo pipefail
source "$DEMO_RUN"
export GRASS_OVERWRITE=1   # a stage that was stopped half-way is done again

# The region: whole cells of 20 m in EPSG:3035.
run region  g.region -a n="$NORTH" s="$SOUTH" w="$WEST" e="$EAST" res=20

# Labels of 10 m (here of the form of S2GLC 2017) and the outlines of the regions.
run labels  r.in.gdal input="$LABELS" output=s2glc --quiet
run regions v.in.ogr input="$OUTLINES" output=nuts --quiet

# Scenes from the catalogue and the S3 server; keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
run fetch   r.s2.fetch stac="$STAC" output=scenes years="$YEARS" nprocs="$NPROCS"

# One median a year and the number of clear observations behind it.
run yearly  r.s2.yearly input=scenes output=s2 years="$YEARS" report=yearly.json nprocs="$NPROCS"

# Composites and labels as one HDF5 file.
run ard     r.s2.ard input=s2 years="$YEARS" labels=s2glc label_year="$FIRST" output=demo.h5

# Learn the labels of one year from the pictures of all years, then map every year.
run train   r.unet.train input=demo.h5 output=model seed=1
run predict r.unet.predict input=demo.h5 model=model output=lc years="$YEARS" nprocs="$NPROCS"

# Change, and the table of regions. The vintage is fixed here, so that two runs can be compared.
run change  r.impervious.change input=lc years="$YEARS" zones=nuts column=NUTS_ID output=table vintage="$VINTAGE"
