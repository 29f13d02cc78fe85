"""The made world: artificial land whose true cover is known, seen by an artificial Sentinel-2, and served as Creodias serves the real one."""
