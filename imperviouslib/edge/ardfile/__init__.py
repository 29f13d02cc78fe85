"""The analysis-ready HDF5 file (h5py): its contract, the reader and the writer.

The file is HDF5 and CF-1.8/netCDF-4 at once, so xarray, GDAL and h5py read it with its georeference and without plug-ins. See
doc/design.md, section 2.
"""

from imperviouslib.edge.ardfile.contract import CHUNK, CONTRACT
from imperviouslib.edge.ardfile.reader import ArdFile
from imperviouslib.edge.ardfile.writer import ArdWriter

__all__ = ["CHUNK", "CONTRACT", "ArdFile", "ArdWriter"]
