"""ARM templates, and what Bicep compiles to: parameters with defaults, variables, expressions and modules worked out.

What cannot be known from the file (a parameter without a default, the id of another resource) is left open, and only
asked for where a field that matters needs it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from simlib.platforms.descriptors.reading import Unset

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|(-?\d+)|([A-Za-z_][\w.]*)|(.))")
_MODULE = "microsoft.resources/deployments"
_DEEPEST = 60


def is_template(found: Mapping[Any, Any]) -> bool:
    """Whether an object is a template."""
    return isinstance(found.get("resources"), list | Mapping) and "deploymentTemplate" in str(found.get("$schema"))


class Template:
    """One template, with values for its parameters."""

    def __init__(self, found: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self.found, self.given = found, given
        self._depth = 0

    def resources(self) -> Iterator[dict[str, Any]]:
        """The resources whose condition holds, worked out; those inside others, and those of modules, too."""
        listed = self.found["resources"]
        for each in listed.values() if isinstance(listed, Mapping) else listed:
            if isinstance(each, Mapping):
                yield from self._with_children(each, "", "")

    def _with_children(self, resource: Mapping[str, Any], kind: str, name: str) -> Iterator[dict[str, Any]]:
        made = {key: self.value(each) for key, each in resource.items() if key not in ("resources", "properties")}
        if made.pop("condition", True) is False or made.get("existing") is True:
            return
        own = str(made.get("type", ""))
        made["type"] = own if not kind or own.lower().startswith("microsoft.") else f"{kind}/{own}"
        made["name"] = _under(name, made.get("name", "")) if kind and made["type"] != own else made.get("name", "")
        properties = resource.get("properties")
        if made["type"].lower() == _MODULE:
            yield from self._module(properties)
            return
        yield made | {"properties": self.value(properties)}
        inner = resource.get("resources")
        for each in inner if isinstance(inner, list) else ():
            if isinstance(each, Mapping):
                yield from self._with_children(each, made["type"], made["name"])

    def _module(self, properties: Any) -> Iterator[dict[str, Any]]:
        inner = properties.get("template") if isinstance(properties, Mapping) else None
        if not isinstance(inner, Mapping) or "resources" not in inner:
            return
        passed = properties.get("parameters")
        values = {
            str(name): self.value(each.get("value"))
            for name, each in (passed.items() if isinstance(passed, Mapping) else ())
            if isinstance(each, Mapping) and "value" in each
        }
        yield from Template(inner, {**values, **self.given}).resources()

    def value(self, node: Any) -> Any:
        """A node with every expression in it worked out, also those that are a field's name."""
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                return Unset("…", "its expressions refer to one another without end")
            if isinstance(node, Mapping):
                return {str(self.value(key)): self.value(each) for key, each in node.items()}
            if isinstance(node, list):
                return [self.value(each) for each in node]
            if not isinstance(node, str) or not re.fullmatch(r"\[[^\[].*\]", node, re.DOTALL):
                return node[1:] if isinstance(node, str) and node.startswith("[[") else node
            return self._expression(node)
        finally:
            self._depth -= 1

    def _expression(self, text: str) -> Any:
        try:
            return _Expression(text[1:-1], self._call).whole()
        except (TypeError, ValueError, IndexError, KeyError, AttributeError, ZeroDivisionError):
            return Unset(text, "it is an expression of the ARM template that cannot be worked out from the file alone")

    def _call(self, name: str, arguments: list[Any]) -> Any:
        name = name.lower()
        if name in ("parameters", "variables"):
            return self._named(name, str(arguments[0]))
        if name == "if":
            holds = arguments[0]
            return holds if isinstance(holds, Unset) else arguments[1 if holds else 2]
        if name in ("concat", "format", "resourceid", "extensionresourceid", "string", "tolower", "toupper"):
            made = _TEXTS[name](arguments)
            missing = [each for each in arguments if isinstance(each, Unset)]
            return Unset(made, missing[0].why) if missing else made
        for each in arguments:
            if isinstance(each, Unset):
                return each
        return _FUNCTIONS[name](*arguments)

    def _named(self, of: str, name: str) -> Any:
        known = self.found.get(of)
        if of == "parameters" and name in self.given:
            return self.given[name]
        value = known.get(name) if isinstance(known, Mapping) else None
        if of == "parameters":
            value = value.get("defaultValue") if isinstance(value, Mapping) else None
        if value is None:
            what = f"the template's {of.removesuffix('s')} {name}"
            return Unset(f"[{of}('{name}')]", f"{what} has no default, give parameters={{{name!r}: …}}")
        return self.value(value)


class _Expression:
    """What stands between the brackets, read from left to right."""

    def __init__(self, text: str, call: Callable[[str, list[Any]], Any]) -> None:
        self.tokens = [found.groups() for found in _TOKEN.finditer(text) if found[0].strip()]
        self.call = call

    def whole(self) -> Any:
        value = self._value()
        if self.tokens:
            raise ValueError("more than one expression")
        return value

    def _value(self) -> Any:
        text, number, name, _ = self.tokens.pop(0)
        if text is not None:
            return text.replace("''", "'")
        if number is not None:
            return int(number)
        if name is None:
            raise ValueError("no expression")
        value = self.call(name, self._arguments())
        while self.tokens and self.tokens[0][3] in (".", "["):
            if self.tokens.pop(0)[3] == ".":
                value = _inside(value, self.tokens.pop(0)[2])
            else:
                value = _inside(value, self._value())
                self.tokens.pop(0)
        return value

    def _arguments(self) -> list[Any]:
        found: list[Any] = []
        if self.tokens.pop(0)[3] != "(":
            raise ValueError("no call")
        while self.tokens[0][3] != ")":
            found.append(self._value())
            if self.tokens[0][3] == ",":
                self.tokens.pop(0)
        self.tokens.pop(0)
        return found


def _inside(value: Any, key: Any) -> Any:
    """value.a.b or value[0]; what is not known stays so."""
    if isinstance(value, Unset):
        return value
    if isinstance(key, str):
        for part in key.split("."):
            value = value[part]
        return value
    return value[key]


def _under(parent: Any, name: Any) -> str:
    return f"{parent}/{name}"


def _concat(arguments: list[Any]) -> Any:
    if arguments and all(isinstance(each, list) for each in arguments):
        return [one for each in arguments for one in each]
    return "".join(map(_text, arguments))


def _format(arguments: list[Any]) -> str:
    return re.sub(r"\{(\d+)[^}]*\}", lambda found: _text(arguments[1 + int(found[1])]), str(arguments[0]))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_TEXTS: dict[str, Callable[[list[Any]], Any]] = {
    "concat": _concat,
    "format": _format,
    "resourceid": lambda arguments: "/".join(map(_text, arguments)),
    "extensionresourceid": lambda arguments: "/".join(map(_text, arguments)),
    "string": lambda arguments: _text(arguments[0]),
    "tolower": lambda arguments: _text(arguments[0]).lower(),
    "toupper": lambda arguments: _text(arguments[0]).upper(),
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "equals": lambda one, other: one.lower() == other.lower() if isinstance(one, str) else one == other,
    "not": lambda one: not one,
    "and": lambda *all_of: all(all_of),
    "or": lambda *any_of: any(any_of),
    "true": lambda: True,
    "false": lambda: False,
    "null": lambda: None,
    "int": int,
    "bool": lambda one: str(one).lower() in ("true", "1"),
    "add": lambda one, other: one + other,
    "sub": lambda one, other: one - other,
    "mul": lambda one, other: one * other,
    "div": lambda one, other: one // other,
    "min": lambda *of: min(of[0] if isinstance(of[0], list) else of),
    "max": lambda *of: max(of[0] if isinstance(of[0], list) else of),
    "greater": lambda one, other: one > other,
    "less": lambda one, other: one < other,
    "length": len,
    "empty": lambda one: not one,
    "contains": lambda one, other: other in one,
    "coalesce": lambda *of: next((each for each in of if each is not None), None),
    "createarray": lambda *of: list(of),
    "createobject": lambda *of: dict(zip(of[::2], of[1::2], strict=True)),
    "union": lambda *of: {key: each for one in of for key, each in one.items()},
    "first": lambda of: of[0],
    "last": lambda of: of[-1],
    "split": lambda text, between: text.split(between),
    "replace": lambda text, old, new: text.replace(old, new),
}
