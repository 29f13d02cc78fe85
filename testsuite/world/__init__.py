"""The made world: a small world whose truth is known, made from a seed and served as Creodias would serve it."""
