"""Access to GRASS, files, servers and other libraries, one file for each; heavy packages are imported only here."""

import os

# HDF5 reads this variable once, when the first module loads it (Keras does too), and it wins over what a file is opened with. Some file systems
# have no locks, and a file of this suite gets its name only when it is complete.
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
