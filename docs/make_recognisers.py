"""Write `docs/results/recognisers.md` and its pictures: cascades trained on real speech and real faces.

python docs/make_recognisers.py [SECTION ...]  # from the root of the repository; the extra `foreign` for the faces

Sections are `random`, `new-speaker-1` to `-3` and `faces`, each some minutes on two cores; without any, all are
computed, with `page` none. Those that are not named are taken from `docs/results/recognisers.json`, which the page is
written from.
"""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from recogniser_numbers import faces, voices
from recogniser_page import page

from amsim.report.picture_file import write_picture

FOLDER = Path(__file__).parent / "results"
RECORD = FOLDER / "recognisers.json"
NEW = {f"new-speaker-{one}": one for one in (1, 2, 3)}
SECTIONS = ("random", *NEW, "faces")
PAGE = "page"


def numbers(section: str) -> dict[str, Any]:
    """Numbers of a section; pictures are written beside them."""
    if section == "faces":
        return faces(partial(write_picture, FOLDER / "recogniser_face.png"))
    if section == "random":
        return voices(None, partial(write_picture, FOLDER / "recogniser_voice.png"))
    return voices(NEW[section])


def main(chosen: list[str]) -> None:
    """Compute sections, keep the others, write the page."""
    unknown = [one for one in chosen if one not in (*SECTIONS, PAGE)]
    if unknown:
        sys.exit(f"{unknown[0]!r} is none of {', '.join((*SECTIONS, PAGE))}.")
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for section in [one for one in chosen or SECTIONS if one != PAGE]:
        print(section, flush=True)
        record[section] = numbers(section)
        RECORD.write_text(json.dumps({one: record[one] for one in SECTIONS if one in record}, indent=1) + "\n")
    if all(one in record for one in SECTIONS):
        (FOLDER / "recognisers.md").write_text(page(record))


if __name__ == "__main__":
    main(sys.argv[1:])
