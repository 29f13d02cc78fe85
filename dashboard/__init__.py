"""The dashboard: a table folder of r.impervious.change as a page in the browser. It knows the table, its schema, and nothing else."""
