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

_STEERING = re.compile(r"^\s*(\{%.*%\}|\{\{.*\}\})\s*$")
_BLOCK = re.compile(
    r"^[ \t]*\{(?P<kind>[#%])[^\n]*\n?(?:(?!(?P=kind)\}).)*?(?P=kind)\}[ \t]*$", re.DOTALL | re.MULTILINE
)
"""A comment or a statement of a template over several lines."""
_PLACED = re.compile(r"^(?P<before>\s*(?:-\s+)*)(?P<key>\{\{.*?\}\})(?=:(?:\s|$))")
_UNQUOTED = re.compile(
    r"^(?P<key>\s*(?:-\s+)*(?:[\"']?[\w.$/-]+[\"']?:\s+|-\s+))(?P<value>(\{\{|\{%|#\{|[@%`]).*?)(?P<note>\s+#(?!\{).*)?\s*$"
)
_JSON_PIECE = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*")|(?P<comment>//[^\n]*|/\*.*?\*/|^\s*\#(?!\{)[^\n]*)|(?P<statement>\{%.*?%\}|\{\#.*?\#\})"""
    r"""|(?P<placeholder>\#\{.*?\}\#|\$?\{\{.*?\}\}|\$\{[^}]*\}|\$\([^)]*\)|<[^<>"]+>|\$\w+|@\w+@|__\w+__|%\w+%|[A-Z][A-Z0-9_]+\b)""",
    re.DOTALL | re.MULTILINE,
)
_LAST_COMMA = re.compile(r",(?=\s*[}\]])")
_KEY = re.compile(r"[\"']?([A-Za-z$][\w.$-]*)[\"']?\s*:")

TERRAFORM = "Terraform, which is not read; give the parameters of its resources as the cloud's API has them"
_LANGUAGES = tuple(
    (re.compile(mark, re.MULTILINE), words)
    for mark, words in (
        (
            r"^(targetScope|(param|resource|module|var) \w+ ?[ =])",
            "Bicep; give the ARM template that `az bicep build` makes of it",
        ),
        (r'^(resource|data|module|variable) "\w+".*\{', TERRAFORM),
        (
            r"^(import|from) [\w.]+( import .*)?$",
            "Python; give the parameters of its calls instead, as a dict or as JSON",
        ),
        (
            r"^(#!.*sh\b|\s*(gcloud|aws|az) [a-z-]+ )",
            "a shell script; give the flags of its command as a dict or as JSON, such as {'--machine-type': …}",
        ),
    )
)
"""Languages that deployments are also written in, by a line that no JSON or YAML has, and what to give instead."""


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
    if isinstance(source, str):
        source = source.removeprefix("\ufeff")
    is_text = isinstance(source, str) and ("\n" in source or source.lstrip().startswith(("{", "[")))
    name = "the text" if is_text else str(source)
    text = str(source) if is_text else _content(Path(source))
    try:
        found = list(_parse(name, text))
    except ParameterError:
        _say_its_language(name, text)
        raise
    except RecursionError:
        raise ParameterError(
            f"read_deployment: source={shortly(name)} holds objects within objects without end."
        ) from None
    if not any(isinstance(each.found, Mapping) for each in found):
        _say_its_language(name, text)
    yield from found


def _say_its_language(name: str, text: str) -> None:
    """A sentence for what is neither JSON nor YAML but a language that is known."""
    if what := next((words for mark, words in _LANGUAGES if mark.search(text)), None):
        raise ParameterError(f"read_deployment: source={shortly(name)} is {what}.")


def _content(path: Path) -> str:
    """The text of a file: in UTF-8, or in the UTF-16 that PowerShell writes."""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise ParameterError(f"read_deployment: source={str(path)!r} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ParameterError(f"read_deployment: source={str(path)!r} is no text in UTF-8.") from None


def _parse(name: str, text: str) -> Iterator[Document]:
    if text.lstrip().startswith(("{", "[")) and not text.lstrip().startswith(("{{", "{%", "{#")):
        yield from _json(name, text)
        return
    mended, unread = _without_steering(text)
    try:
        loader = _Loader(mended)
        while loader.check_data():
            found = loader.get_data()
            yield from _each(name, found, (*unread, *loader.twice))
            loader.twice.clear()
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


def _json(name: str, text: str) -> Iterator[Document]:
    """JSON; with comments, placeholders and last commas; as Python writes it; or an object after the other."""
    twice: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in found]
        twice.extend(_said_twice(key) for key in dict.fromkeys(keys) if keys.count(key) > 1)
        return dict(found)

    decoder, statements = json.JSONDecoder(object_pairs_hook=pairs), tuple[str, ...]()
    try:
        found = _one_after_another(decoder, text)
    except ValueError as error:
        mended, statements = _mended(text)
        try:
            found = _one_after_another(decoder, mended)
        except ValueError:
            try:
                found = [_Loader(mended).get_single_data()]  # single quotes, True and None, no quotes at all
            except (yaml.YAMLError, ValueError):
                found = [None]
            if not isinstance(found[0], dict | list):
                what = " ".join(str(error).split())
                beside = _field_at(text, getattr(error, "lineno", 0))
                raise ParameterError(f"read_deployment: source={shortly(name)} is not JSON: {what}{beside}.") from None
    for each in found:
        yield from _each(name, each, (*statements, *dict.fromkeys(twice)))


def _one_after_another(decoder: json.JSONDecoder, text: str) -> list[Any]:
    found, at = [], len(text) - len(text.lstrip())
    while at < len(text):
        one, at = decoder.raw_decode(text, at)
        found.append(one)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found


def _mended(text: str) -> tuple[str, tuple[str, ...]]:
    """JSON without comments, with placeholders in quotes, without a template's statements; and those."""
    statements = []

    def piece(found: re.Match[str]) -> str:
        if found["text"]:
            return found[0]
        if found["placeholder"]:
            return json.dumps(found[0])
        if found["statement"]:
            statements.append(_left_out(" ".join(found[0].split())))
        return ""

    return _LAST_COMMA.sub("", _JSON_PIECE.sub(piece, text)), tuple(dict.fromkeys(statements))


def _left_out(line: str) -> str:
    return f"the template's line {line!r}"


def _said_twice(key: str) -> str:
    return f"{key} stands twice in one object: the last is read"


def _each(name: str, found: Any, unread: tuple[str, ...]) -> Iterator[Document]:
    if isinstance(found, list):
        for k, one in enumerate(found):
            yield from _each(f"{name}[{k}]" if name else f"[{k}]", one, unread)
    elif found is not None:
        yield Document(name, found, unread)


def _without_steering(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without lines that only steer a template, and with placeholders quoted; and those lines."""
    kept, left_out = [], []

    def block(found: re.Match[str]) -> str:
        if found["kind"] == "%":
            left_out.append(_left_out(" ".join(found[0].split())))
        return "\n" * found[0].count("\n")

    for line in _BLOCK.sub(block, text.expandtabs(2)).splitlines():
        named = _PLACED.sub(lambda found: found["before"] + _quoted(found["key"]), line)
        if named == line and _STEERING.match(line):
            left_out.append(_left_out(line.strip()))
            kept.append("")
        elif (value := _UNQUOTED.match(named)) and not line.rstrip().endswith(("|", ">")):
            kept.append(value["key"] + _quoted(value["value"]))
        else:
            kept.append(named)
    return "\n".join(kept), tuple(dict.fromkeys(left_out))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _field_at(text: str, line: int) -> str:
    """The field on that line, or the last one before it."""
    for number in range(min(line, len(text.splitlines())), 0, -1):
        if found := _KEY.search(text.splitlines()[number - 1]):
            return f", beside {found[1]!r}"
    return ""


class _Loader(yaml.SafeLoader):
    """YAML whose tags are kept, whose dates stay text, and that says which keys stand twice in one object."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[str] = []


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> Tagged:
    if isinstance(node, yaml.ScalarNode):
        return Tagged(suffix, loader.construct_scalar(node))
    if isinstance(node, yaml.SequenceNode):
        return Tagged(suffix, loader.construct_sequence(node, deep=True))
    assert isinstance(node, yaml.MappingNode)
    return Tagged(suffix, loader.construct_mapping(node, deep=True))


def _object(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    """A mapping, also where a template's braces made a key of what cannot be one."""
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
    loader.twice += [_said_twice(key) for key in dict.fromkeys(keys) if keys.count(key) > 1]
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
