"""Studies as files: a TOML file becomes the call `amsim.sweep(amsim.study(...), axes, ...)`."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

from amsim.circuits.checks import integer_between
from amsim.datasets.array_data import read_splits
from amsim.datasets.check import class_items
from amsim.datasets.load import load_dataset
from amsim.datasets.split import Split
from amsim.files.path_argument import checked_path
from amsim.files.regular_file import named_in_errors, read_regular_file
from amsim.progress import Progress
from amsim.studies.front_door import sweep
from amsim.studies.measured import QUANTITIES, Study, study
from amsim.studies.study_file.axes import hardware_and_axes, load_network
from amsim.studies.study_file.layout import study_file_type
from amsim.studies.study_file.reading import raise_mistakes, read


@dataclasses.dataclass(frozen=True, eq=False)
class FileStudy:
    """A study as a file describes it.

    Attributes:
        path: The file.
        measure: The study of a network.
        axes: Axes as `amsim.sweep` takes them.
        key: Draws dies and reads.
        dies: Number of dies.
        reads: Reads of each die.
        text: Content of the file.
    """

    path: Path
    measure: Study
    axes: list[Any]
    key: PRNGKeyArray
    dies: int
    reads: int
    text: str

    def run(
        self,
        *,
        store: str | Path | None = None,
        client: Any = None,
        progress: bool | Progress | None = None,
    ) -> xr.Dataset:
        """Result of the study, as `amsim.sweep` returns it, with the file's text as the attribute `study_file`.

        A store has it too; a store of the same study resumes whatever comments the file has.

        Args:
            store: As in `amsim.sweep`.
            client: As in `amsim.sweep`.
            progress: As in `amsim.sweep`.

        Raises:
            ValueError: Settings that do not go together; the text names the file.
            OSError: The store cannot be written; what it holds is kept.
        """
        try:
            return sweep(
                self.measure,
                self.axes,
                key=self.key,
                dies=self.dies,
                reads=self.reads,
                attributes={"study_file": self.text},
                store=store,
                client=client,
                progress=progress,
            )
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


def read_study(path: str | Path, *, dies: int | None = None, images: int | None = None) -> FileStudy:
    """Read a study from a TOML file and check it as a whole.

    Args:
        path: The file; paths in it are relative to its folder. `docs/studies` has examples, `amsim sweep --schema` all
            keys.
        dies: Number of dies instead of the file's.
        images: Number of items of the data instead of the file's.

    Raises:
        ValueError: A count below 1, or a file that is not TOML or has mistakes; the message lists all, with table, key
            and what is allowed.
        OSError: The file, or one that it names, cannot be read.
    """
    path = checked_path("path", path)
    text, document = read_document(path)
    changes = {name: value for name, value in (("dies", dies), ("images", images)) if value is not None}
    for name, value in changes.items():
        integer_between(name, value, 1)
    if isinstance(document.get("study"), dict) and changes:
        kept = {name: value for name, value in document["study"].items() if images is None or name != "share"}
        document["study"] = kept | changes
    mistakes: list[str] = []
    content = read(study_file_type(), document, mistakes)
    if not mistakes:
        hardware, axes = hardware_and_axes(content, path.parent, mistakes)
    raise_mistakes(path, mistakes)
    given = {"dies": 16, "reads": 1, "seed": 0, "quantities": list(QUANTITIES), "batch": 250} | content["study"]
    fn, params = (
        (None, None) if "network" not in given else load_network(given["network"], path.parent, given.get("inputs"))
    )
    data = _data(given, path.parent, "[study] images" if images is None else "Argument `images`")
    _check_inputs(data, content)
    measure = study(fn, params, hardware, data, quantities=given["quantities"], batch=given["batch"])
    return FileStudy(path, measure, axes, jax.random.key(given["seed"]), given["dies"], given["reads"], text)


def _check_inputs(data: Split, content: Mapping[str, Any]) -> None:
    """Raise ValueError where a network cannot take several arrays by name."""
    tables = [content["study"], content.get("axes", {}), content.get("points", {})]
    names = np.ravel([table["network"] for table in tables if "network" in table]).tolist()
    others = [name for name in names if not name.endswith(".onnx")]
    if isinstance(data.inputs, dict) and others:
        raise ValueError(
            f"[study] data: several arrays beside `labels` are inputs of an .onnx file by name, but {others[0]} takes "
            "`inputs` alone."
        )


LARGEST_FILE = 2**20
"""Most bytes of a study file."""


def read_document(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and tables of a TOML file.

    Raises:
        ValueError: It is not TOML, or cannot be read as such.
        OSError: It cannot be read.
    """
    content = read_regular_file(path, LARGEST_FILE)
    try:
        text = content.decode("utf-8").replace("\r\n", "\n")
        document = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} is not a TOML file: {error}.") from None
    except ValueError:  # of Python, which reads no more than 4300 digits
        raise ValueError(f"{path} cannot be read: a whole number in it has too many digits.") from None
    except RecursionError:
        raise ValueError(f"{path} cannot be read: its lists or tables are nested too deeply.") from None
    return text, document


def _data(given: Mapping[str, Any], folder: Path, count_by: str) -> Split:
    """Items to measure on: the first of the test set, or of a file of `labels` and of inputs; errors say who counts."""
    name = given.get("data", "fashion-mnist-mini")
    if not name.endswith(".npz"):
        return _first(given, name, load_dataset(name).test, count_by)
    with named_in_errors(folder / name):
        # Of a study, but known by the file here.
        return class_items("data", _first(given, name, _of_file(folder / name), count_by))


def _of_file(path: Path) -> Split:
    try:
        parts = read_splits(path)
    except ValueError as error:
        raise ValueError(f"[study] data: {error}") from None
    return parts["test"] if "test" in parts else parts["all"]


def _first(given: Mapping[str, Any], name: str, whole: Split, count_by: str) -> Split:
    count = given.get("images", max(round(given.get("share", 1.0) * len(whole)), 1))
    if count > len(whole):
        raise ValueError(f"{count_by} must be at most {len(whole)}, which is what {name} has, but is {count}.")
    return whole[:count]
