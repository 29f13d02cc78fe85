"""What workers do: plain functions of frozen plain values, which any worker can import.

They read files or the cells that come with the task, and return arrays. There is no GRASS here: workers of a cluster have none.
"""
