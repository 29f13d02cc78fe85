"""Access to GRASS, files, servers and other libraries, one file for each; heavy packages are imported only here."""
