"""Classes in the reference: fields of an Equinox module are its arguments, with units; described attributes exist."""

import ast
from typing import Any

import griffe

LOG = griffe.get_logger("module_fields")
POSITIONAL = griffe.ParameterKind.positional_or_keyword


def default(value: Any) -> str | None:
    """Default of a field as it is written, also inside of `quantity(...)`, `count(...)` or `eqx.field(...)`."""
    if not isinstance(value, griffe.ExprCall):
        return None if value is None else str(value)
    given = _keywords(value)
    if "default_factory" in given:
        made = given["default_factory"]
        return made.removeprefix("lambda: ") if made.startswith("lambda") else f"{made}()"
    return given.get("default", "None" if "optional" in given else None)


def unit(value: Any) -> str | None:
    """Symbol and unit that a field declares, such as "sigma_n in V"; None where it declares no unit."""
    given = _keywords(value) if isinstance(value, griffe.ExprCall) else {}
    if "unit" not in given:
        return None
    symbol, text = (ast.literal_eval(given.get(name, "''")) for name in ("symbol", "unit"))
    return f"{symbol} in {text}".strip() if text != "1" else symbol or None


def _keywords(call: griffe.ExprCall) -> dict[str, str]:
    return {word.name: str(word.value) for word in call.arguments if isinstance(word, griffe.ExprKeyword)}


def missing_attributes(cls: griffe.Class) -> list[str]:
    """Names in the section of attributes that the class does not have."""
    sections = cls.docstring.parse("google", warnings=False) if cls.docstring else []
    named = [part.name for one in sections if one.kind is griffe.DocstringSectionKind.attributes for part in one.value]
    return [name for name in named if name not in cls.all_members]


class ModuleFields(griffe.Extension):
    """Gives each class that descends from `eqx.Module` an `__init__` of its fields; warns of attributes it has not."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Add the signatures when the whole package is known."""
        modules = [pkg]
        for module in modules:
            modules += [part for part in module.modules.values() if not part.is_alias]
        classes = [cls for module in modules for cls in module.classes.values() if not cls.is_alias]
        for cls in classes:
            # What an `__init__` makes cannot all be seen without running it.
            if "__init__" in cls.members:
                continue
            self.add(cls)
            if names := missing_attributes(cls):
                LOG.warning(f"{cls.path} describes attributes that it does not have: {', '.join(names)}")
        # After all signatures, which share annotations with attributes: what describes an attribute also says its unit.
        for part in (part for cls in classes for part in cls.attributes.values()):
            if text := unit(part.value):
                part.annotation = f"{part.annotation}, {text}"

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
