"""`amsim train`: reference networks, trained from scratch."""

import json
from pathlib import Path
from typing import Annotated

import typer

from amsim.command_line.output import print_written, shows_progress
from amsim.files.whole_file import check_writable, write_whole_text


def train(
    network: Annotated[str, typer.Argument(help="Reference network to train, such as binary-fashion.")],
    data: Annotated[str, typer.Option(help="Data set with 28 x 28 images.")] = "fashion-mnist",
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 20,
    learning_rate: Annotated[float, typer.Option(help="Initial learning rate of Adam.")] = 5e-3,
    batch: Annotated[int, typer.Option(help="Images per step.")] = 128,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and the order of images.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the weights (.npz) and the training record (.json).")] = Path(),
) -> None:
    """Train a reference network from scratch."""
    from amsim.circuits.checks import one_of
    from amsim.datasets.load import DATASETS, load_dataset
    from amsim.networks import NETWORKS, save_network
    from amsim.training.reference_networks import train as run_training

    one_of("network", network, NETWORKS)
    one_of("data", data, DATASETS)
    check_writable(out, "--out", f"{network}.npz", f"{network}.json")
    images = load_dataset(data)
    result = run_training(
        NETWORKS[network],
        images,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        progress=shows_progress(),
    )
    save_network(out / f"{network}.npz", NETWORKS[network], result.params)
    record = json.dumps(result.record, indent=1) + "\n"
    write_whole_text(out / f"{network}.json", record)
    accuracy = f"{100 * result.record['test_accuracy']:.2f} % of {result.record['test_images']} test images"
    print(f"{network}: {accuracy}.")
    print_written(out / f"{network}.npz", out / f"{network}.json")
