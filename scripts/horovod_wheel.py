"""Build Horovod for this machine's torch and Python, and list for pip what training with it needs beside the wheel of this project:

python scripts/horovod_wheel.py PROJECT FOLDER

FOLDER gets the wheel and ``requirements.txt``, which holds this torch too: Horovod's wheel fits no other.
"""

import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import uv


def build(project: Path, folder: Path) -> Path:
    """Build the wheel and write the list; returns the list's path."""
    sys.path.insert(0, str(project / "scripts"))
    os.environ |= {"SETUP_UV": uv.find_uv_bin(), "SETUP_PIP": f"{sys.executable} -m pip"}
    from build_horovod import build_wheel

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build_wheel(Path(scratch))
        # A volume takes whole files alone, and a wheel is renamed when it is whole.
        kept = shutil.copyfile(wheel, folder / wheel.name)
    needed = (project / "resources" / "requirements.txt").read_text()
    listed = folder / "requirements.txt"
    listed.write_text(f"{needed}torch=={version('torch')}\n{kept}\n")
    return listed


print(build(Path(sys.argv[1]), Path(sys.argv[2])))
