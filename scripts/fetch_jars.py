"""Put jars into Ivy's cache, where ``tables/session.py`` and Spark find them: later sessions start without the network.

``make setup`` fetches Delta's, ``make test-services`` with ``s3`` also those that Spark reads ``s3a://`` with (0.7 GB). Uses no
package, so that the check alone takes no time. Spark's own launcher does the resolving; a mirror is named as Spark's documentation
says (``spark.jars.ivySettings`` in ``spark-defaults.conf``).
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


def main(wanted: list[str]) -> int:
    packages = {"delta": delta, "s3": s3}
    return max(fetch(name, packages[name]()) for name in wanted or ["delta"])


def delta() -> str:
    """Return the Maven coordinates of the locked Delta, for the locked Spark."""
    return f"io.delta:delta-spark_{locked('pyspark').rpartition('.')[0]}_2.13:{locked('delta-spark')}"


def s3() -> str:
    """Return the Maven coordinates of Hadoop's S3 client, of the version that Spark brings: no other fits."""
    jars = Path(sys.executable).parent.parent.glob("lib/python*/site-packages/pyspark/jars/hadoop-client-api-*.jar")
    return f"org.apache.hadoop:hadoop-aws:{next(jars).stem.removeprefix('hadoop-client-api-')}"


def fetch(name: str, coordinates: str) -> int:
    """Have the jars resolved, unless they are there; returns an exit code."""
    group, artifact, version = coordinates.split(":")
    if (IVY / "jars" / f"{group}_{artifact}-{version}.jar").is_file():
        return 0
    print(f"[setup] fetching jars for {name} ({coordinates})", flush=True)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fetch-jars-") as scratch:
        program = Path(scratch) / "nothing.py"
        program.write_text("")  # resolving happens before a program runs, so an empty one needs no session
        submit = Path(sys.executable).parent / "spark-submit"
        command = [str(submit), "--packages", coordinates, "--conf", f"spark.jars.ivy={IVY}", str(program)]
        env = {**os.environ, "PATH": f"{submit.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        print("\n".join(done.stderr.splitlines()[-25:]), file=sys.stderr)
        print(
            f"[setup] the jars for {name} could not be fetched (spark-submit exited {done.returncode}): the lines above say why",
            file=sys.stderr,
        )
        return 1
    print(f"[setup] jars for {name} ready in {time.monotonic() - start:.0f} s, kept in {IVY}", flush=True)
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
    sys.exit(main(sys.argv[1:]))
