"""The outside world, one outsider a file; the only place where heavy packages are imported."""
