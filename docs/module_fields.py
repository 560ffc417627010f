"""Signatures of Equinox modules for the reference: their fields are the arguments, as for a dataclass."""

from typing import Any

import griffe

POSITIONAL = griffe.ParameterKind.positional_or_keyword


def default(value: Any) -> str | None:
    """Default of a field as it is written, also inside of `quantity(...)`, `count(...)` or `eqx.field(...)`."""
    if value is None or not isinstance(value, griffe.ExprCall):
        return None if value is None else str(value)
    given = {word.name: str(word.value) for word in value.arguments if isinstance(word, griffe.ExprKeyword)}
    if "default_factory" in given:
        made = given["default_factory"]
        return made.removeprefix("lambda: ") if made.startswith("lambda") else f"{made}()"
    if "optional" in given:
        return given.get("default", "None")
    return given.get("default", None if str(value.function) in {"quantity", "count", "eqx.field"} else str(value))


class ModuleFields(griffe.Extension):
    """Gives each class that descends from `eqx.Module` an `__init__` of its fields."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Add the signatures when the whole package is known."""
        modules = [pkg]
        for module in modules:
            modules += [part for part in module.modules.values() if not part.is_alias]
            for cls in module.classes.values():
                if not cls.is_alias and "__init__" not in cls.members:
                    self.add(cls)

    @staticmethod
    def add(cls: griffe.Class) -> None:
        """Add the signature of one class, unless it is no module or has no fields."""
        line = [*reversed(cls.mro()), cls]
        if not any(str(base) == "eqx.Module" for one in line for base in one.bases):
            return
        fields = {}
        for one in line:
            for name, part in one.attributes.items():
                # Without class variables, and without what a subclass has to define.
                if "instance-attribute" in part.labels and "AbstractVar" not in str(part.annotation):
                    fields[name] = griffe.Parameter(
                        name, annotation=part.annotation, kind=POSITIONAL, default=default(part.value)
                    )
        if fields:
            itself = griffe.Parameter("self", kind=POSITIONAL)
            cls["__init__"] = griffe.Function("__init__", parameters=griffe.Parameters(itself, *fields.values()))
