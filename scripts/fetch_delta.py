"""Put Delta's jars into Ivy's cache, where ``tables/session.py`` finds them: later sessions start without the network.

Called by ``make setup``. Uses no package, so that the check alone takes no time. Spark's own launcher does the
resolving; a mirror is named as Spark's documentation says (``spark.jars.ivySettings`` in ``spark-defaults.conf``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: As ``Path.home()`` means it, and not as Java's ``user.home`` does: the two differ where HOME is set to another folder.
IVY = Path.home() / ".ivy2.5.2"


def main() -> int:
    coordinates = f"io.delta:delta-spark_{locked('pyspark').rpartition('.')[0]}_2.13:{locked('delta-spark')}"
    if (IVY / "jars" / f"{coordinates.replace('io.delta:', 'io.delta_').replace(':', '-')}.jar").is_file():
        return 0
    print(f"[setup] fetching Delta's jars ({coordinates})", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fetch-delta-") as scratch:
        program = Path(scratch) / "nothing.py"
        program.write_text("")  # resolving happens before a program runs, so an empty one needs no session
        submit = Path(sys.executable).parent / "spark-submit"
        command = [str(submit), "--packages", coordinates, "--conf", f"spark.jars.ivy={IVY}", str(program)]
        env = {**os.environ, "PATH": f"{submit.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-25:]), file=sys.stderr)
        print(
            f"[setup] Delta's jars could not be fetched (spark-submit exited {done.returncode}): the lines above say why", file=sys.stderr
        )
        return 1
    print(f"[setup] Delta's jars ready in {time.monotonic() - start:.0f} s, kept in {IVY}", flush=True)
    return 0


def locked(package: str) -> str:
    """Return the locked version of a package."""
    lock = Path(__file__).parent.parent / "requirements.lock"
    for line in lock.read_text(encoding="utf-8").splitlines():
        name, separator, version = line.partition("==")
        if separator and name == package:
            return version.split()[0]
    raise SystemExit(f"{lock} does not name {package}: run make lock")


if __name__ == "__main__":
    sys.exit(main())
