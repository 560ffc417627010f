"""Transfer curve of a macro and its errors, over dies, reads and columns."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Key, PRNGKeyArray

from amsim.characterisation.quantities import LABELS
from amsim.circuits.checks import at_least_one, one_key
from amsim.circuits.contract.macro import Die, Macro
from amsim.circuits.contract.operands import Operands
from amsim.circuits.contract.products import DenseProduct
from amsim.noise.loops import scan
from amsim.noise.random import numbered_keys
from amsim.results.labelled import labelled
from amsim.results.provenance import provenance

POINTS = 68
"""Most sums in a sweep, from all products -1 to all products +1; a sweep of decisions adds as many around 0.

One more than a prime: evenly spread sums then do not all fall on the levels of a converter, steps of powers of 2.
"""

KEPT_ERRORS = 2**21
"""Most single errors in a result, unless one read of all dies already has more."""


def characterise(
    macro: Macro, *, key: PRNGKeyArray, dies: int = 8, reads: int = 32, rows: int | None = None
) -> xr.Dataset:
    """Sweep the ideal sum of products from `-rows` to `rows` and read it on every column of several dies.

    Weights are +1; of the inputs the first `k` rows are +1 and the others -1, so that the ideal sum, in counts, is
    `2 k - rows`. Memory grows with dies, columns and sums, not with reads.

    Args:
        macro: The macro. One that reads numbers is read by `matmul`; one that only decides, by `decide` at threshold 0.
        key: Draws dies and reads; die `n` is the same for any number of dies.
        dies: Number of dies.
        reads: Reads per sum and die.
        rows: Products summed; None is the macro's rows.

    Returns:
        Dataset over (die, column, count). From a macro that reads numbers: `count_read`, the mean over reads, and
        `count_sigma`, their standard deviation (NaN for one read), both with `error` (die, read, column, count), as
        read less ideal for the first reads, and `out_of_range` (count), the fraction of nominal line values that the
        readout clips. From a macro that only decides: `decided_up`, the fraction of reads with the decision +1.

    Raises:
        ValueError: A count below 1, a key that is not typed, not a macro, more rows than a line that decides has, or a
            macro that at its word lengths neither reads numbers nor decides.
    """
    _check(macro, key, dies, reads, rows)
    products = macro.line_rows if rows is None else rows
    counts = _counts(products, around_zero=not macro.reads_numbers)
    inputs = jnp.asarray(np.where(np.arange(products) < (counts[:, None] + products) // 2, 1.0, -1.0), float)
    ideal = jnp.asarray(counts[:, None], float)
    kept = max(1, min(reads, KEPT_ERRORS // (dies * macro.columns * len(counts))))
    die_key, read_key = jax.random.split(key)
    found = [
        _one_die(
            macro,
            macro.fabricate(jax.random.fold_in(die_key, n)),
            inputs,
            ideal,
            numbered_keys(jax.random.fold_in(read_key, n), reads),
            kept,
        )
        for n in range(dies)
    ]
    # (count, column) is how a batch of sums leaves the macro; labelled data have the swept axis last.
    mean, sigma, errors = (
        np.stack([np.asarray(part).swapaxes(-1, -2) for part in parts]) for parts in zip(*found, strict=True)
    )
    per_column = ("die", "column", "count")
    coordinates: dict[str, Any] = {"die": np.arange(dies), "column": np.arange(macro.columns), "count": counts}
    if macro.reads_numbers:
        variables = {
            "count_read": (per_column, mean + counts),
            "count_sigma": (per_column, sigma),
            "error": (("die", "read", "column", "count"), errors),
            "out_of_range": (("count",), np.asarray(_out_of_range(macro, inputs))),
        }
        coordinates["read"] = np.arange(kept)
    else:
        variables = {"decided_up": (per_column, (mean + 1) / 2)}
    return labelled(
        variables,
        coordinates,
        {
            **provenance(key=key, macro=macro),
            "rows": products,
            "reads": reads,
        },
        labels=LABELS,
    )


def _check(macro: Any, key: Any, dies: int, reads: int, rows: int | None) -> None:
    if not isinstance(macro, Macro):
        raise ValueError(f"Argument `macro` must be a macro, but is {macro!r} of type {type(macro).__name__}.")
    one_key("key", key)
    at_least_one(dies=dies, reads=reads, rows=macro.line_rows if rows is None else rows)
    if not macro.reads_numbers:  # raises before anything is compiled
        macro.check_neuron(DenseProduct(macro.line_rows if rows is None else rows, macro.columns))


def _counts(rows: int, *, around_zero: bool) -> np.ndarray:
    """Sums that `rows` products of -1 and +1 can have, evenly spread, on request with every sum around 0."""
    ups = np.round(np.linspace(0, rows, min(POINTS, rows + 1))).astype(int)
    if around_zero:
        near = rows // 2 + np.arange(-(POINTS // 2), POINTS // 2 + 1)
        ups = np.concatenate([ups, near[(near >= 0) & (near <= rows)]])
    return 2 * np.unique(ups) - rows


class _Moments(NamedTuple):
    """Running mean and sum of squared deviations (Welford), so that no single read is kept."""

    number: Array
    mean: Array
    squares: Array

    def with_value(self, value: Array) -> "_Moments":
        number = self.number + 1
        mean = self.mean + (value - self.mean) / number
        return _Moments(number, mean, self.squares + (value - self.mean) * (value - mean))


@eqx.filter_jit
def _one_die(
    macro: Macro,
    die: Die,
    inputs: Float[Array, "counts rows"],
    ideal: Float[Array, "counts 1"],
    read_keys: Key[Array, " reads"],
    kept: int,
) -> tuple[Array, Array, Array]:
    """Mean and sigma over reads of the error, or of the decision, and the first `kept` errors."""
    weights = jnp.ones((inputs.shape[1], macro.columns))

    shape = (len(inputs), macro.columns)

    def read(state: tuple[_Moments, Array], item: tuple[Array, PRNGKeyArray]) -> tuple[tuple[_Moments, Array], None]:
        moments, errors = state
        number, key = item
        if macro.reads_numbers:
            value = macro.matmul(inputs, weights, die=die, key=key) - ideal
        else:
            value = macro.decide(inputs, weights, die=die, key=key)
        return (moments.with_value(value), errors.at[number].set(value, mode="drop")), None

    start = _Moments(jnp.zeros(()), jnp.zeros(shape), jnp.zeros(shape)), jnp.zeros((kept, *shape))
    (moments, errors), _ = scan(read, start, (jnp.arange(len(read_keys)), read_keys))
    return moments.mean, jnp.sqrt(moments.squares / (moments.number - 1)), errors


@eqx.filter_jit
def _out_of_range(macro: Macro, inputs: Float[Array, "counts rows"]) -> Array:
    weights = jnp.ones((inputs.shape[1], macro.columns))
    product = DenseProduct(*weights.shape)

    def one(vector: Float[Array, " rows"]) -> Array:
        report = macro.report(Operands(product, vector[None], weights))
        clipped = [value for name, value in report.items() if name.startswith("clipped_")]
        return jnp.max(jnp.stack(clipped)) if clipped else jnp.zeros(())

    return jax.lax.map(one, inputs)
