"""CloudFormation templates: parameters with defaults, mappings, conditions and intrinsic functions worked out.

What cannot be known from the file (a parameter without a default, another stack's export) is left open, and only
asked for where a field that matters needs it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from simlib.platforms.descriptors.documents import Tagged
from simlib.platforms.descriptors.reading import Unset

_PSEUDO = {
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "AWS::StackName": "stack",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": "stack-id",
    "AWS::NotificationARNs": "none",
}
_NOTHING = object()
_DEEPEST = 60


def is_template(found: Mapping[Any, Any]) -> bool:
    """Whether an object is a template."""
    resources = found.get("Resources")
    if not isinstance(resources, Mapping):
        return False
    return any(isinstance(each, Mapping) and "Type" in each for each in resources.values())


def is_part_of_one(found: Mapping[Any, Any]) -> bool:
    """Whether an object is what stands under a template's Resources, as documentation shows it."""
    kinds = [each.get("Type") if isinstance(each, Mapping) else None for each in found.values()]
    return bool(kinds) and all(isinstance(kind, str) and kind.startswith("AWS::") for kind in kinds)


class Template:
    """One template, with values for its parameters."""

    def __init__(self, found: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self.found, self.given = found, given
        self._depth = 0

    def resources(self) -> dict[str, tuple[str, Mapping[str, Any] | Unset]]:
        """Logical name → (type, properties worked out), of those whose condition holds; Unset where that is open."""
        made: dict[str, tuple[str, Mapping[str, Any] | Unset]] = {}
        for name, each in self.found["Resources"].items():
            if not isinstance(each, Mapping) or not self._wanted(each):
                continue
            kind = each.get("Type")
            if isinstance(kind, str) and kind.startswith(
                ("AWS::SageMaker::", "AWS::ApplicationAutoScaling::", "AWS::CloudWatch::Alarm")
            ):
                properties = self.value(each.get("Properties") or {})
                made[str(name)] = (kind, properties if isinstance(properties, dict | Unset) else {})
        return made

    def _wanted(self, resource: Mapping[str, Any]) -> bool:
        condition = resource.get("Condition")
        return condition is None or self._holds(str(condition)) is not False

    def value(self, node: Any) -> Any:
        """A node with everything in it worked out."""
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                return Unset("…", "its functions refer to one another without end")
            return self._value(node)
        finally:
            self._depth -= 1

    def _value(self, node: Any) -> Any:
        if isinstance(node, Tagged):
            name = node.tag if node.tag in ("Ref", "Condition") else f"Fn::{node.tag}"
            return self._call(name, node.value)
        if isinstance(node, Mapping):
            if len(node) == 1:
                (name, argument), *_ = node.items()
                if name == "Ref" or str(name).startswith("Fn::"):
                    return self._call(str(name), argument)
            pairs = ((key, self.value(each)) for key, each in node.items())
            return {key: each for key, each in pairs if each is not _NOTHING}
        if isinstance(node, list):
            return [each for each in map(self.value, node) if each is not _NOTHING]
        return node

    def _call(self, name: str, argument: Any) -> Any:
        known = {
            "Ref": self._ref,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::If": self._if,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::GetAtt": self._attribute,
            "Condition": lambda of: self._holds(str(of)),
        }
        try:
            if name in known:
                return known[name](argument)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError):
            return Unset(f"{name}", f"{name} of {json.dumps(argument, default=str)[:60]} cannot be worked out")
        return Unset(name, f"{name} is not known from the file alone")

    def _ref(self, name: Any) -> Any:
        name = str(name)
        if name == "AWS::NoValue":
            return _NOTHING
        if name in _PSEUDO:
            return self.given.get(name, _PSEUDO[name])
        parameters = self.found.get("Parameters")
        parameter = parameters.get(name) if isinstance(parameters, Mapping) else None
        if parameter is None:
            return self.given.get(name, name)  # another resource, by its logical name
        if name in self.given:
            return self.given[name]
        kind = str(parameter.get("Type", "String")) if isinstance(parameter, Mapping) else "String"
        if not isinstance(parameter, Mapping) or parameter.get("Default") is None:
            return Unset(
                f"${{{name}}}", f"the template's parameter {name} has no default, give parameters={{{name!r}: …}}"
            )
        if kind.startswith("AWS::SSM::Parameter::Value"):
            return Unset(
                f"${{{name}}}", f"the template's parameter {name} is looked up in SSM, give parameters={{{name!r}: …}}"
            )
        default = self.value(parameter["Default"])
        return (
            default.split(",")
            if kind in ("CommaDelimitedList", "List<Number>") and isinstance(default, str)
            else default
        )

    def _sub(self, argument: Any) -> Any:
        text, more = (argument[0], argument[1]) if isinstance(argument, list) else (argument, {})
        more = {key: self.value(each) for key, each in more.items()}
        missing: list[Unset] = []

        def one(found: re.Match[str]) -> str:
            name = found[1].strip()
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            value = more[name] if name in more else name if "." in name else self._ref(name)
            if isinstance(value, Unset):
                missing.append(value)
            return str(value)

        made = re.sub(r"\$\{([^}]*)\}", one, str(text))
        return Unset(made, missing[0].why) if missing else made

    def _join(self, argument: Any) -> Any:
        between, parts = argument
        parts = self.value(parts)
        missing = [each for each in parts if isinstance(each, Unset)]
        made = str(between).join(map(str, parts))
        return Unset(made, missing[0].why) if missing else made

    def _if(self, argument: Any) -> Any:
        name, then, otherwise = argument
        holds = self._holds(str(name))
        if holds is None:
            missing = sorted(self._asked_by(self.found.get("Conditions", {}).get(str(name))))
            why = f"whether the condition {name} holds is not known from the file alone"
            give = "{" + ", ".join(f"{each!r}: …" for each in missing) + "}"
            return Unset("Fn::If", f"{why}, give parameters={give}" if missing else why)
        return self.value(then if holds else otherwise)

    def _asked_by(self, node: Any, depth: int = 0) -> set[str]:
        """The template's parameters whose values a condition waits for."""
        if depth > _DEEPEST:
            return set()
        if isinstance(node, Tagged):
            node = {node.tag: node.value}
        if isinstance(node, list):
            return {name for each in node for name in self._asked_by(each, depth + 1)}
        if not isinstance(node, Mapping):
            return set()
        asked: set[str] = set()
        for key, each in node.items():
            if key == "Ref":
                asked |= {str(each)} if isinstance(self._ref(each), Unset) else set()
            elif key == "Condition":
                asked |= self._asked_by(self.found.get("Conditions", {}).get(str(each)), depth + 1)
            else:
                asked |= self._asked_by(each, depth + 1)
        return asked

    def _find_in_map(self, argument: Any) -> Any:
        name, first, second = (self.value(each) for each in argument[:3])
        for each in (name, first, second):
            if isinstance(each, Unset):
                return each
        return self.value(self.found["Mappings"][name][_same(self.found["Mappings"][name], first)][second])

    def _select(self, argument: Any) -> Any:
        index, of = (self.value(each) for each in argument)
        return of if isinstance(of, Unset) else of[int(index)]

    def _split(self, argument: Any) -> Any:
        between, text = (self.value(each) for each in argument)
        return text if isinstance(text, Unset) else text.split(between)

    def _attribute(self, argument: Any) -> str:
        return ".".join(map(str, argument)) if isinstance(argument, list) else str(argument)

    # --- conditions: True, False, or None where the file does not say ---

    def _holds(self, name: str) -> bool | None:
        conditions = self.found.get("Conditions")
        if not isinstance(conditions, Mapping) or name not in conditions:
            return None
        return self._truth(conditions[name])

    def _truth(self, node: Any) -> bool | None:
        self._depth += 1
        try:
            return None if self._depth > _DEEPEST else self._truth_of(node)
        finally:
            self._depth -= 1

    def _truth_of(self, node: Any) -> bool | None:
        if isinstance(node, Tagged):
            name, argument = (node.tag if node.tag == "Condition" else f"Fn::{node.tag}"), node.value
        elif isinstance(node, Mapping) and len(node) == 1:
            (name, argument), *_ = node.items()
        else:
            return None
        if name == "Condition":
            return self._holds(str(argument))
        if not isinstance(argument, list):
            return None
        if name == "Fn::Equals" and len(argument) == 2:
            one, other = (self.value(each) for each in argument)
            return None if isinstance(one, Unset) or isinstance(other, Unset) else _text(one) == _text(other)
        parts = [self._truth(each) for each in argument]
        if name == "Fn::Not":
            return None if parts[0] is None else not parts[0]
        if name == "Fn::And":
            return False if False in parts else None if None in parts else True
        if name == "Fn::Or":
            return True if True in parts else None if None in parts else False
        return None


def _same(mapping: Mapping[Any, Any], key: Any) -> Any:
    """The key as the mapping writes it: a number and its text are the same."""
    return next((each for each in mapping if _text(each) == _text(key)), key)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
