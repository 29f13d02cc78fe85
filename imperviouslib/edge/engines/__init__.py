"""One file per inference engine; edge/engine.py finds them here."""
