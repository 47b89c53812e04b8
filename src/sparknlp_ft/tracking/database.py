"""The SQLite file of a store on this machine: made whole or not at all.

MLflow makes its tables one migration after the other, which takes seconds; a run that is killed in them would leave a file that
no later run can open.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any


def make_database(mlflow: Any, database: Path) -> None:
    """Have MLflow make its tables, unless the file is there: under another name until they are all made.

    Args:
        mlflow: The module.
        database: The file; its folder is there.
    """
    if database.exists():
        return
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".being-made-") as folder:
        new = Path(folder) / database.name
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{new}").search_experiments(max_results=1)
        # Another run may have made it meanwhile, and logged to it: a link, unlike a rename, takes nobody's place.
        try:
            os.link(new, database)
        except FileExistsError:
            return
        except OSError:
            new.rename(database)  # A file system without links.
