"""Engines, one file each: what computes a network's outputs on a worker."""
