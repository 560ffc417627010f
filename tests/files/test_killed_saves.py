"""Chips, networks and files of commands, killed at any event of the disk: the old file or the new, never a part.

What a kill leaves is what the disk has at that moment, so each event copies the folder; nothing has to be killed.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from plotted_results import make_comparison

import amsim
import amsim.plot
from amsim import circuits, networks
from amsim.command_line import application
from amsim.comparison import families
from amsim.networks.registry import NETWORKS
from amsim.report.result_file import open_result
from amsim.training import reference_networks

EVENTS = {"open", "os.rename", "os.chmod", "os.remove", "os.mkdir"}
"""Audit events by which a write touches the disk (`sys.audit`)."""


class Moments:
    """Copies of a folder at each event in it; a hook of `sys.audit` cannot be taken away, only be idle."""

    def __init__(self):
        self.folder, self.copies = None, []
        sys.addaudithook(self.hear)

    def hear(self, event, given):
        folder = self.folder
        if folder is not None and event in EVENTS and str(folder) in str(given[0]):
            self.folder = None
            self.copy(folder)
            if event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR):
                # A moment later, the file that is opened is there and empty.
                (self.copy(folder) / Path(given[0]).name).write_bytes(b"")
            self.folder = folder

    def copy(self, folder):
        self.copies.append(shutil.copytree(folder, folder.with_name(f"killed {len(self.copies)}")))
        return self.copies[-1]

    def of(self, folder, write):
        self.folder, self.copies = folder, []
        write(folder)
        self.folder = None
        return self.copies


@pytest.fixture(scope="module")
def moments():
    return Moments()


def check_kills(moments, tmp_path, write_old, write_new, read):
    """Files after each kill are those before or after, and the next run writes all of them."""
    folder, new = tmp_path / "files", tmp_path / "new"
    for one, write in ((folder, write_old), (new, write_new)):
        one.mkdir()
        write(one)
    before, after = read(folder), read(new)
    assert all(before[name] != after[name] for name in before)
    killed = moments.of(folder, write_new)
    assert len(killed) >= 3 * len(before)
    found = [read(one) for one in killed]
    assert all(one[name] in (before[name], after[name]) for one in found for name in one)
    assert found[0] == before
    for one in killed:
        write_new(one)
        assert read(one) == after


def network(params, inputs):
    return jnp.sign(inputs @ params["w"])


def test_a_killed_save_of_a_chip(moments, tmp_path):
    macro = circuits.DigitalBinary(rows=16, columns=4)
    old, new = (
        amsim.deploy(network, {"w": sign * jnp.ones((16, 4))}, macro, key=jax.random.key(0)) for sign in (1, -1)
    )

    def read(folder):
        return {"x": float(amsim.load_chip(folder / "x.npz", network).params["w"][0, 0])}

    check_kills(moments, tmp_path, lambda one: old.save(one / "x.npz"), lambda one: new.save(one / "x.npz"), read)


def test_a_killed_save_of_a_network(moments, tmp_path):
    net = NETWORKS["8-bit-fashion"]
    old, new = (net.initial_params(jax.random.key(seed)) for seed in (0, 1))

    def save(params):
        return lambda folder: networks.save_network(folder / "x.npz", net, params)

    check_kills(moments, tmp_path, save(old), save(new), lambda folder: {"x": content(folder / "x.npz")})


def content(path):
    """All numbers of a network file."""
    return b"".join(np.asarray(one).tobytes() for one in jax.tree.leaves(networks.load(path)[1]))


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["amsim", *map(str, arguments)])
    assert application.run() == 0


def test_a_killed_compare(moments, tmp_path, monkeypatch):
    def compare(seed):
        def write(folder):
            made = make_comparison().assign_attrs(seed=seed, amsim_version="0.1")
            monkeypatch.setattr(families, "compare", lambda *_, **__: made)
            picture = Figure((seed + 1, 1))
            monkeypatch.setattr(amsim.plot, "plot_comparison", lambda _: picture)
            run(monkeypatch, "compare", "--json", "--out", folder)  # tables need more than is made up

        return write

    def read(folder):
        picture = (folder / "compare.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert picture.endswith(b"IEND\xaeB`\x82")
        return {"nc": int(open_result(folder / "compare.nc").attrs["seed"]), "png": picture}

    check_kills(moments, tmp_path, compare(0), compare(1), read)


def test_a_killed_train(moments, tmp_path, monkeypatch):
    net = NETWORKS["8-bit-fashion"]

    def train(seed):
        record = {"test_accuracy": 0.5, "test_images": 2, "seed": seed}
        result = reference_networks.TrainingResult(net.initial_params(jax.random.key(seed)), record)

        def write(folder):
            monkeypatch.setattr(reference_networks, "train", lambda *_, **__: result)
            run(monkeypatch, "train", "8-bit-fashion", "--data", "fashion-mnist-mini", "--out", folder)

        return write

    def read(folder):
        record = json.loads((folder / "8-bit-fashion.json").read_text())
        return {"npz": content(folder / "8-bit-fashion.npz"), "json": record["seed"]}

    check_kills(moments, tmp_path, train(0), train(1), read)
