"""What all tests share: one thread for tiny models, and no test that fails because the machine is busy."""

import os

# Before torch is imported: threads that wait for each other cost tiny models more than they give.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
