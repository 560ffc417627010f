"""A folder that keeps compiled programs for later processes."""

import os
import subprocess
import sys

import pytest

import amsim

PROGRAM = """
import sys
import jax
import jax.numpy as jnp
import amsim

jax.monitoring.register_event_listener(lambda name, **_: name.endswith("cache_hits") and hits.append(name))
hits = []
jax.jit(lambda x: x + 1)(jnp.ones(3))  # whether there is a folder must not depend on what was compiled before
amsim.compilation_cache(sys.argv[1])
macro = amsim.circuits.DigitalBinary()
print(float(macro.matmul(jnp.ones((2, 8)), jnp.ones((8, 3))).sum()), len(hits))
amsim.compilation_cache(None)
jax.jit(lambda x: x * 3)(jnp.ones(3))
"""


def test_a_second_process_loads_what_the_first_has_compiled(tmp_path):
    folder = tmp_path / "programs"
    found = []
    for _ in range(2):
        environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
        command = [sys.executable, "-c", PROGRAM, str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout.split())
        kept = len(list(folder.glob("*-cache")))
    (first, none), (second, hits) = found
    assert first == second == "48.0"
    assert none == "0"
    assert int(hits) == kept > 0
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("folder", ["", __file__, "/dev/null/cache"])
def test_what_is_no_folder_is_refused(folder):
    with pytest.raises(ValueError, match="Argument `folder` must be a"):
        amsim.compilation_cache(folder)
