"""Compiled programs kept in a folder, so that the next process does not compile them again."""

from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from amsim.files.path_argument import checked_path


def compilation_cache(folder: str | Path | None) -> None:
    """Keep compiled programs in a folder from now on, JAX's persistent compilation cache for programs of any size.

    Most of the time of a first call goes into compilation; a later process that runs the same network on the same kind
    of hardware, with whatever numbers, loads the program instead. Results are the same to the bit. A program is found
    by what it computes, the version of JAX and the processor, so that nothing in the folder can be out of date; JAX's
    own setting `jax_compilation_cache_max_size` limits its size.

    Args:
        folder: The folder, made where it is missing, for its owner alone; None ends the use of one.

    Raises:
        ValueError: It is not a path, is a file, or cannot be made.

    The programs in it are run as they are: use no folder that others can write to.
    """
    if folder is None:
        jax_cache.set_cache_dir(None)
    else:
        path = checked_path("folder", folder)
        if path.exists() and not path.is_dir():
            raise ValueError(f"Argument `folder` must be a folder, but {str(path)!r} is none.")
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"Argument `folder` must be a folder that can be made, but {path} is not: {error}."
            ) from None
        jax_cache.set_cache_dir(str(path.resolve()))
        # By default JAX keeps only what took a second to compile: a network's die and its small programs take less.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # What was compiled before has settled for the process whether there is a folder.
    jax_cache.reset_cache()
