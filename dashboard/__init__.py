"""The dashboard: shows a table folder of r.impervious.change in the browser. It uses the table and its schema, and no other part of the suite."""
