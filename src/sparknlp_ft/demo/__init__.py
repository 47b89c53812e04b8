"""The demo: a data set of the project's own, and the whole main job on it."""
