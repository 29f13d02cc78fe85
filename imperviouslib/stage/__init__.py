"""One recipe a tool: read, check, decide in core, write, report. No stage imports another."""
