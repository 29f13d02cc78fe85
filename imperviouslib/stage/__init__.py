"""One file or folder per tool: read, check, call core, write, report. No stage imports another."""
