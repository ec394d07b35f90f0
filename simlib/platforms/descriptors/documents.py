"""From a file, a text or a dict to the objects in it: JSON and YAML as people keep them, templates included.

Many public descriptors are templates (Jinja, Helm, ${VAR}, <placeholder>).  Their placeholders are kept as text, so
that only a field that is needed asks to be filled in; lines that only steer the template are left out, and told.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from simlib.parameters import ParameterError, shortly

Source = str | Path | Mapping[str, Any]

_STEERING = re.compile(r"^\s*(\{%-?.*%\}|\{\{-?\s*(if|else|end|range|with|define|include|template|/\*).*\}\})\s*$")
_UNQUOTED = re.compile(r"^(?P<key>\s*(?:- )*(?:[\w.$/-]+:\s+|- ))(?P<value>(\{\{|\{%|[@%`]).*?)(?P<note>\s+#.*)?\s*$")
_BARE_IN_JSON = re.compile(
    r"(?P<before>[:\[,]\s*)(?P<value>\$\{[^}]*\}|\{\{.*?\}\}|<[^<>\"]+>|\$\w+|[A-Z][A-Z0-9_]+)(?=\s*[,}\]\n])"
)
_COMMENT = re.compile(r"^\s*(//|#).*$", re.MULTILINE)
_LAST_COMMA = re.compile(r",(?=\s*[}\]])")
_KEY = re.compile(r"[\"']?([A-Za-z$][\w.$-]*)[\"']?\s*:")


class Document(NamedTuple):
    """One object: where it stands, what it holds, and the lines of a template that were left out."""

    name: str
    found: Any
    unread: tuple[str, ...] = ()


class Tagged(NamedTuple):
    """A value with a tag of CloudFormation's short form: !Ref, !Sub, !GetAtt …"""

    tag: str
    value: Any


def read(source: Source) -> Iterator[Document]:
    """The objects of a path, a text or a dict; a list is as many as it holds.

    Raises
    ------
    ParameterError
        If it cannot be read, or is neither JSON nor YAML.
    """
    if isinstance(source, Mapping):
        yield from _each("", source, ())
        return
    is_text = isinstance(source, str) and ("\n" in source or source.lstrip().startswith(("{", "[")))
    name = "the text" if is_text else str(source)
    text = str(source) if is_text else _content(Path(source))
    yield from _parse(name, text)


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ParameterError(f"read_deployment: source={str(path)!r} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ParameterError(f"read_deployment: source={str(path)!r} is no text in UTF-8.") from None


def _parse(name: str, text: str) -> Iterator[Document]:
    if text.lstrip().startswith(("{", "[")) and not text.lstrip().startswith(("{{", "{%")):
        try:
            yield from _each(name, json.loads(text), ())
            return
        except ValueError as error:
            first = error
        mended = _LAST_COMMA.sub("", _BARE_IN_JSON.sub(r'\g<before>"\g<value>"', _COMMENT.sub("", text)))
        try:
            yield from _each(name, json.loads(mended), ())
        except ValueError:
            what = " ".join(str(first).split())
            beside = _field_at(text, getattr(first, "lineno", 0))
            raise ParameterError(f"read_deployment: source={shortly(name)} is not JSON: {what}{beside}.") from None
        return
    mended, unread = _without_steering(text)
    try:
        for found in list(yaml.load_all(mended, Loader=_Loader)):
            yield from _each(name, found, unread)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        what = " ".join(str(getattr(error, "problem", None) or error).split())
        beside = _field_at(mended, line)
        raise ParameterError(
            f"read_deployment: source={shortly(name)} is not YAML: line {line}, {what}{beside}."
        ) from None
    except ValueError as error:  # a date that is none, a number too long
        raise ParameterError(f"read_deployment: source={shortly(name)} is not YAML: {error}.") from None


def _each(name: str, found: Any, unread: tuple[str, ...]) -> Iterator[Document]:
    if isinstance(found, list):
        for k, one in enumerate(found):
            yield from _each(f"{name}[{k}]" if name else f"[{k}]", one, unread)
    elif found is not None:
        yield Document(name, found, unread)


def _without_steering(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without lines that only steer a template, and with placeholders quoted; and those lines."""
    kept, left_out = [], []
    for line in text.expandtabs(2).splitlines():
        if _STEERING.match(line):
            left_out.append(f"the template's line {line.strip()!r}")
            kept.append("")
        elif (value := _UNQUOTED.match(line)) and not line.rstrip().endswith(("|", ">")):
            kept.append(value["key"] + "'" + value["value"].replace("'", "''") + "'")
        else:
            kept.append(line)
    return "\n".join(kept), tuple(dict.fromkeys(left_out))


def _field_at(text: str, line: int) -> str:
    """The field on that line, or the last one before it."""
    for number in range(min(line, len(text.splitlines())), 0, -1):
        if found := _KEY.search(text.splitlines()[number - 1]):
            return f", beside {found[1]!r}"
    return ""


class _Loader(yaml.SafeLoader):
    """YAML whose tags are kept, whose dates stay text, and whose `yes` and `on` stay words."""


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.ScalarNode):
        return Tagged(suffix, loader.construct_scalar(node))
    if isinstance(node, yaml.SequenceNode):
        return Tagged(suffix, loader.construct_sequence(node, deep=True))
    assert isinstance(node, yaml.MappingNode)
    return Tagged(suffix, loader.construct_mapping(node, deep=True))


def _object(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping, also where a template's braces made a key of what cannot be one."""
    loader.flatten_mapping(node)
    return {
        (key.value if isinstance(key, yaml.ScalarNode) else str(key.value)): loader.construct_object(value, deep=True)
        for key, value in node.value
    }


_Loader.add_multi_constructor("!", _tagged)
_Loader.add_constructor("tag:yaml.org,2002:map", _object)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
