"""Hook of a site that is shown while it is written: brings the pages together before each build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from build import assemble


def on_pre_build(config: dict) -> None:
    """Assemble the pages anew; those that have not changed stay as they are."""
    assemble(Path(config["docs_dir"]), Path(config["extra"]["notebooks"]))
