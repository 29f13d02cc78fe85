# Settings of a job: lines NAME=value. This one is the region of Brussels; copy it for each country or tile.
WORK=$HOME/jobs/brussels                # folder for scenes, files, reports and the table
GRASSDB=$HOME/grassdata                 # GRASS database; jobs side by side share it
LOCATION=europe                         # made if it is missing, in EPSG:3035
MAPSET=brussels                         # of this job alone
REGION="n=3125000 s=3065000 w=3890000 e=3950000"    # words of g.region
YEARS=2018-2024
STAC=cdse                               # keys: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment
LABELS=$HOME/data/clcplus_2018.tif      # land cover to train on
LEGEND=clcplus
LABEL_YEAR=2018
OUTLINES=$HOME/data/NUTS_RG_01M_2024_3035.geojson
WHERE="NUTS_ID LIKE 'BE1%'"             # which of the outlines; empty: all
COLUMN=NUTS_ID
NPROCS=4
MODEL=                                  # a model that exists already; empty: train one
READINGS=                               # readings of the sample, when people have made them: first.csv,second.csv,third.csv
# More options of single tools, as on the command line.
FETCH=
YEARLY=
ARD=
TRAIN=
PREDICT=
SAMPLE="level=1 points=600 windows=240" # empty: draw no sample
CHANGE="definition=artificial"
