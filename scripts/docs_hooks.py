"""What MkDocs does not know of this project: pictures of measurements lie beside their figures, outside the folder of pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RESULTS = "bench/results"


def on_files(files: Any, config: Any) -> Any:
    """Add the pictures to the site."""
    from mkdocs.structure.files import File

    root = Path(config.config_file_path).parent
    for picture in sorted((root / RESULTS).glob("*.png")):
        files.append(File.generated(config, f"{RESULTS}/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links lead to them."""
    return markdown.replace(f"](../{RESULTS}/", f"]({RESULTS}/")
