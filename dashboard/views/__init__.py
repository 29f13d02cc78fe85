"""The views: pure functions from a table and a state to tags or plain data, one file for each part of the page.

All text goes through the tags of htmltools, which escape it. Nothing here writes HTML as text.
"""
