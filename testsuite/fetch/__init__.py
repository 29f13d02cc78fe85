"""Tests of r.s2.fetch on a small world served on loopback; conftest.py holds the world, fetch_ground.py the helpers."""
