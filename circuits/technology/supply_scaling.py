"""Parts of hardware moved to another supply, and what is clocked to the clock that the supply allows."""

import dataclasses
from typing import Any

from jaxtyping import Array, Float

from amsim.circuits.technology.process import Process


def with_supply(part: Any, supply: Float[Array, ""]) -> Any:
    """The same part at another supply; None stays None.

    Args:
        part: A frozen part with a field `supply`, such as a memory or a register file, or None.
        supply: V, shape ().
    """
    return None if part is None else dataclasses.replace(part, supply=supply)


def with_supply_and_clock(
    part: Any, supply: Float[Array, ""] | None, process: Process, former: Process | None = None
) -> Any:
    """The same part at another supply, clocked as fast as that allows: `clock(V) = clock t_0(V_0) / t(V)`.

    A clock keeps the slack that it has at the present supply `V_0`.

    Args:
        part: A frozen part with fields `supply` and `clock`.
        supply: V, shape (); None is the present one.
        process: Its `delay_ratio` is t.
        former: The process that the part has been in until now, whose `delay_ratio` is t_0; None is the same.

    Raises:
        ValueError: The present or the other supply lies outside the window of the delay law; a traced one raises at run
            time.
    """
    new = part.supply if supply is None else supply
    faster = (process if former is None else former).delay_ratio(part.supply) / process.delay_ratio(new)
    return dataclasses.replace(part, supply=new, clock=part.clock * faster)
