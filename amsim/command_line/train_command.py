"""`amsim train`: reference networks and members of their families, trained from scratch."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from amsim.command_line.network_settings import network_settings
from amsim.command_line.output import print_written, shows_progress
from amsim.files.whole_file import check_writable, write_whole_text


def train(
    network: Annotated[
        str, typer.Argument(help="Reference network such as binary-fashion, or a family: images or sequences.")
    ],
    data: Annotated[
        str | None, typer.Option(help="Data set; by default fashion-mnist, or spoken-digits for sequences.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Setting of a family such as width=16 or depth=2,2,1; may be given several times."),
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training items.")] = 20,
    learning_rate: Annotated[float, typer.Option(help="Initial learning rate of Adam.")] = 5e-3,
    batch: Annotated[int, typer.Option(help="Items per step.")] = 128,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and the order of items.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the weights (.npz) and the training record (.json).")] = Path(),
) -> None:
    """Train a reference network, or a member of a family of networks, from scratch."""
    from amsim.circuits.checks import one_of
    from amsim.datasets.load import DATASETS, load_dataset
    from amsim.networks import save_network
    from amsim.networks.families import FAMILIES
    from amsim.networks.registry import REFERENCES
    from amsim.training.reference_networks import train as run_training

    one_of("network", network, [*REFERENCES, *FAMILIES])
    if data is None:
        data = "spoken-digits" if network == "sequences" else "fashion-mnist"
    one_of("data", data, DATASETS)
    if network in REFERENCES and setting:
        raise ValueError(f"Option `--set` must be given with a family, {' or '.join(FAMILIES)}, but is with {network}.")
    name = network
    if network in REFERENCES:
        check_writable(out, "--out", f"{name}.npz", f"{name}.json")
    items = load_dataset(data)
    if network in REFERENCES:
        function: Any = REFERENCES[network].network
    else:
        name, function = _member(network, setting or [], items.train.inputs.shape[1:], len(items.classes))
        check_writable(out, "--out", f"{name}.npz", f"{name}.json")
    result = run_training(
        function,
        items,
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        progress=shows_progress(),
    )
    save_network(out / f"{name}.npz", function, result.params)
    record = json.dumps(result.record, indent=1) + "\n"
    write_whole_text(out / f"{name}.json", record)
    accuracy = f"{100 * result.record['test_accuracy']:.2f} % of {result.record['test_images']} test items"
    print(f"{name}: {accuracy}.")
    print_written(out / f"{name}.npz", out / f"{name}.json")


def _member(family: str, settings: list[str], input_shape: tuple[int, ...], classes: int) -> tuple[str, Any]:
    """Name and network of a member of a family with these settings, for items of this shape."""
    from amsim.networks.families import FAMILIES, network_of

    given: dict[str, Any] = {}
    for name, value in network_settings(family, settings):
        if name in given:
            raise ValueError(f"Option `--set` must give each setting once, but gives {name} twice.")
        given[name] = value
    member = FAMILIES[family](**given, input_shape=tuple(input_shape), classes=classes)
    return member.name, network_of(member)
