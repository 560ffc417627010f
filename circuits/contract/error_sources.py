"""Sources of error, declared once by the part that has them; every tool scales, switches and names them from here."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from amsim.circuits.checks import one_of, part_of, truth_values, words

KINDS = ("static", "dynamic", "systematic", "resolution")
"""Drawn once per die; drawn at every read; the same on every die and read; the finite steps of a readout."""

Place = tuple[str | int, ...]
"""Fields, and numbers of parts in a tuple, from a macro to a part or a field inside it."""


class _Ideal:
    """Stands for the value that `part.ideal()` has."""

    def __repr__(self) -> str:
        return "IDEAL"


IDEAL = _Ideal()
"""Error-free value of a field: the one that it has in `part.ideal()`."""


@dataclasses.dataclass(frozen=True)
class ErrorSource:
    """One source of error of a part; a part lists its own in the class attribute `error_sources`.

    With that, `Macro.with_error_scale`, `amsim.switched_sources` and `amsim.sensitivity` know the source, and
    `amsim.noise_budget` may name it. Draws of a die are standard ones, so that scaling a source keeps the die.

    Attributes:
        name: Name in every result. Parts of one macro whose sources have the same name are one source.
        kind: "static" (drawn once per die), "dynamic" (drawn at every read), "systematic" (the same on every die and
            read) or "resolution" (the steps of a readout, which are a choice rather than an error).
        description: Physical cause, one sentence.
        sizes: Fields proportional to the error, such as standard deviations and probabilities; one that is None is off.
        temperatures: Fields whose square root is proportional to the error.
        kept: Parts that depend on those temperatures too and are not this error, such as leakage beside kT/C noise.
            Each has `kept_at(temperature, measured)`, the part that is at one temperature what this one is at another.
        off: Error-free value of each field whose value is not 0 then: None, a number or `IDEAL`.
        left_out: Whether the source is off where the whole part is left out, None in its place. Whatever the part does
            beside its random error, such as the settling of drivers, then is gone too.
        effects: Terms of `Macro.error_variances` that the source adds to; its own name by default.

    Raises:
        ValueError: An unknown kind, or neither a field nor `left_out`, so that nothing could be switched.
    """

    name: str
    kind: str
    description: str
    sizes: tuple[str, ...] = ()
    temperatures: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    off: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    left_out: bool = False
    effects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the kind and that the source can be switched; fill in the default of `effects`."""
        words("name", [self.name])
        words("description", [self.description])
        for name in ("sizes", "temperatures", "kept", "effects"):
            words(name, getattr(self, name))
        one_of("kind", self.kind, KINDS)
        truth_values(left_out=self.left_out)
        part_of("off", self.off, Mapping)
        if not self.fields and not self.left_out:
            raise ValueError(f"Arguments `sizes`, `temperatures` and `off` of {self.name!r} must name a field.")
        object.__setattr__(self, "effects", self.effects or (self.name,))

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the part by which the source is scaled or switched."""
        return tuple(dict.fromkeys((*self.sizes, *self.temperatures, *self.off)))

    @property
    def scalable(self) -> bool:
        """Whether the source has a size, so that it can be scaled and not only switched."""
        return bool(self.sizes or self.temperatures)

    @property
    def vanishes(self) -> bool:
        """Whether a scale of 0 switches the source off, so that no other circuit is needed for that."""
        return self.scalable and not self.left_out

    def scaled(self, part: Any, scale: ArrayLike) -> dict[str, Any]:
        """Fields of the part at `scale` times its error; both may be traced."""
        changed: dict[str, Any] = {}
        for field in self.temperatures:
            measured = getattr(part, field)
            changed[field] = measured * scale**2
            held = {name: getattr(part, name) for name in self.kept}
            changed |= {name: one.kept_at(changed[field], measured) for name, one in held.items() if one is not None}
        for field in self.sizes:
            value, without = getattr(part, field), self._without(part, field)
            if value is not None:
                # Without an addition where nothing is added, so that a scale of 1 changes no bit.
                changed[field] = value * scale if _is_zero(without) else without + (value - without) * scale
        return changed

    def switched_off(self, part: Any) -> dict[str, Any]:
        """Fields of the part without this error, of those that have it; nothing for one that is left out as a whole."""
        values = {} if self.left_out else {field: self._without(part, field) for field in self.fields}
        return {field: value for field, value in values.items() if _is_on(getattr(part, field), value)}

    def _without(self, part: Any, field: str) -> Any:
        value = self.off.get(field, 0.0)
        return getattr(part.ideal(), field) if value is IDEAL else value


@dataclasses.dataclass(frozen=True, eq=False)
class PlacedSource:
    """A source of error in a macro.

    Attributes:
        source: Its declaration.
        place: From the macro to the part that declares it.
        part: That part.
    """

    source: ErrorSource
    place: Place
    part: Any

    @property
    def switches(self) -> dict[Place, Any]:
        """Places of the macro to be set, each with its value, to switch off what is on; empty where nothing is."""
        if self.source.left_out:
            return {self.place: None}
        return {(*self.place, field): value for field, value in self.source.switched_off(self.part).items()}

    def is_inside(self, place: Place) -> bool:
        """Whether the source is gone where what stands at a place is another part."""
        return self.place[: len(place)] == place


def placed_sources(part: Any, place: Place = ()) -> Iterator[PlacedSource]:
    """Every source of a part and of the parts inside it: in the order of declaration, each where its first field is.

    Args:
        part: A macro or a part of one.
        place: From the macro to the part.

    Raises:
        ValueError: A source names a field that its part does not have.
    """
    passed: set[str] = set()
    coming = list(_declared(part))
    for field in dataclasses.fields(part):
        passed.add(field.name)
        while coming and passed.issuperset(coming[0].fields[:1]):
            yield PlacedSource(coming.pop(0), place, part)
        value = getattr(part, field.name)
        for number, one in enumerate(value) if isinstance(value, tuple) else ():
            if isinstance(one, eqx.Module):
                yield from placed_sources(one, (*place, field.name, number))
        if isinstance(value, eqx.Module):
            yield from placed_sources(value, (*place, field.name))


def with_scaled_sources(part: Any, scales: Mapping[str, ArrayLike]) -> Any:
    """A part whose sources, and those of the parts inside it, are multiplied by the scale of their name.

    Args:
        part: A macro or a part of one.
        scales: At least 0, each of shape (), 1; may be traced. A source that is not named stays as it is.

    Returns:
        The part; values are not checked again.
    """
    changed: dict[str, Any] = {}
    for source in _declared(part):
        if source.name in scales:
            changed |= source.scaled(part, scales[source.name])
    changed |= _changed_inside(part, changed, lambda one: with_scaled_sources(one, scales))
    if not changed:
        return part
    # Not `replace`, whose checks of a traced value would run at every step.
    return eqx.tree_at(lambda one: [getattr(one, name) for name in changed], part, list(changed.values()))


def without_sources(part: Any, names: Collection[str]) -> Any:
    """A part with these sources switched off, in it and in the parts inside it; None where it is itself left out."""
    changed: dict[str, Any] = {}
    for source in _declared(part):
        if source.name in names:
            if source.left_out:
                return None
            changed |= source.scaled(part, jnp.zeros(())) | source.switched_off(part)
    changed |= _changed_inside(part, changed, lambda one: without_sources(one, names))
    return dataclasses.replace(part, **changed) if changed else part


def _declared(part: Any) -> tuple[ErrorSource, ...]:
    """Sources that a part itself has, once their fields are known to be its own."""
    own: tuple[ErrorSource, ...] = getattr(type(part), "error_sources", ())
    known = {field.name for field in dataclasses.fields(part)}
    for source in own:
        missing = [field for field in (*source.fields, *source.kept) if field not in known]
        if missing:
            raise ValueError(
                f"{type(part).__name__} must declare sources of error by its own fields, but {source.name!r} names "
                f"{missing[0]!r}."
            )
    return own


def _changed_inside(part: Any, changed: Mapping[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    """Fields of a part that hold parts, or tuples of parts, which a change gives others for."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        value = changed.get(field.name, getattr(part, field.name))
        if isinstance(value, eqx.Module):
            other = change(value)
            if other is not value:
                found[field.name] = other
        elif isinstance(value, tuple):
            others = tuple(change(one) if isinstance(one, eqx.Module) else one for one in value)
            if any(other is not one for other, one in zip(others, value, strict=True)):
                found[field.name] = others
    return found


def _is_zero(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and value == 0)


def _is_on(value: Any, without: Any) -> bool:
    """Whether a concrete value of a field is an error at all."""
    if value is None:
        return False
    if eqx.is_array(value):
        return bool(jnp.any(value != (0.0 if without is None else without)))
    return not eqx.tree_equal(value, without)
