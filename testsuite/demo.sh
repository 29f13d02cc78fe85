# The whole chain, as you would type it in a GRASS session.
#
# `make demo` (testsuite/demo.py) makes and serves a small world in build/demo/world, installs the tools, and then runs, in build/demo:
#   grass grassdata/europe/demo --exec bash demo.sh
# Each line below is an ordinary command after `run NAME`. `run` prints the command, measures its time, and skips it if it was
# finished before.
set -euo pipefail
source "$DEMO_RUN"
export GRASS_OVERWRITE=1   # so that an interrupted command can be run again

# The region: whole cells of 20 m in EPSG:3035.
run region  g.region -a n="$NORTH" s="$SOUTH" w="$WEST" e="$EAST" res=20

# A land-cover map of 10 m as labels (here in the form of S2GLC 2017), and the outlines of the regions.
run labels  r.in.gdal input="$LABELS" output=s2glc --quiet
run regions v.in.ogr input="$OUTLINES" output=nuts --quiet

# Download scenes from the catalogue and the S3 server. The keys are in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
run fetch   r.s2.fetch stac="$STAC" output=scenes years="$YEARS" bands=B12,B11,B04,B8A nprocs="$NPROCS"

# For each year: the median, the least and the greatest of all clear observations of three bands and the NDVI, and the number of observations.
run yearly  r.s2.yearly input=scenes output=s2 years="$YEARS" bands=B12,B11,B04,NDVI statistics=min,max report=yearly.json nprocs="$NPROCS"

# Write composites and labels into one HDF5 file.
run ard     r.s2.ard input=s2 years="$YEARS" labels=s2glc label_year="$FIRST" output=demo.nc

# Train a U-Net on the labels of one year and the composites of all years, and a model of change; then predict the classes of every year, and
# when each cell was sealed or unsealed.
run train   r.unet.train input=demo.nc output=model seed=1
run predict r.unet.predict input=demo.nc model=model output=lc years="$YEARS" nprocs="$NPROCS"

# Draw a reference sample in each country, and write the sheet in which people read it (sample/sheet.html).
run sample  r.impervious.sample input=lc output=sample zones=nuts column=NUTS_ID level=0 points=320 windows=60 loss_points=80 stock=200 composites=s2 -s

# Here a script reads it, from the truth of the world: twice, with errors, and once more where the two readings differ.
run read    env PYTHONPATH="$TOP" python3 -m testsuite.world.interpreter world sample/design.json readings.csv --false 0.002 --patches 0.005 --missed 0.1

# Maps of change, and the table of regions with estimates from the sample. The date of the run is fixed, so that the tables of two runs can be compared.
run change  r.impervious.change input=lc years="$YEARS" zones=nuts column=NUTS_ID design=sample/design.json sample=readings.csv output=table vintage="$VINTAGE"
