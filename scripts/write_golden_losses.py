"""Write tests/assets/losses/tiny.json: what every launcher and every reader must reproduce, as one rank and Petastorm give it.

Run it, and look at the difference, when a change is meant to change what a training computes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.golden import FILE, golden_job, trained, write  # noqa: E402

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        write(trained(golden_job(Path(folder)), None, backend="solo", ranks=1))
