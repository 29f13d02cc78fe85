"""Facts and rules: standard library and NumPy only, no input or output."""
