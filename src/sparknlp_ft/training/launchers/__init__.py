"""Launchers: ways to start the ranks of a job, one file each; ``launch.backend`` names the module.

Each has a ``LAUNCHER`` that keeps ``Launcher`` (``training.launcher``).
"""
