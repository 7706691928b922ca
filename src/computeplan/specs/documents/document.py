"""YAML in, plain data with a place for every value out.

ruamel.yaml parses (YAML 1.2, so ``3.8e25`` is a number and ``NO`` a word); we keep from its node
tree the line and column of each key and value, refuse what could hide or run anything (duplicate
keys, tags, merge keys, deep nesting, aliases that multiply).
"""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from computeplan.errors import Problem, ScenarioError
from computeplan.units import plain

__all__ = [
    "DATA",
    "Document",
    "KeyPath",
    "Mark",
    "dotted",
    "load_document",
    "nearest",
    "nearest_file",
    "parse_document",
    "read_text",
]

DATA = Path(str(resources.files("computeplan"))) / "data"
"""Where the files of the catalogue are."""

MAX_BYTES = 4_000_000
MAX_NODES = 100_000
MAX_DEPTH = 40
READ_HERE = (".yaml", ".yml", ".json", ".csv", ".txt")
MOST_BESIDE = 1000  # files of a folder that are looked at for a name that is nearly right
MAX_BITS = 128  # of a whole number; longer ones are neither floats nor printable
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FULL_WIDTH = re.compile("[：，｛｝［］＂＇“”＃－　]")  # in the place of what YAML knows
_DEEP = re.compile(rf"(?:[\[{{]\s*){{{MAX_DEPTH + 1}}}")  # ruamel takes seconds to find out
_PLAIN_PART = re.compile(r"""[^\s.'"\\\[\]](?:[^.'"\\\[\]]*[^\s.'"\\\[\]])?""")
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null", "str")}
_AS_TEXT = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place: file (or the words of an override), line and column from 1, or 0."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data of one or several merged files, and where each value came from."""

    data: dict[str, Any]
    """Mappings, lists and scalars."""
    file: str
    """The name to show."""
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    """Places of keys and of values."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with it already, to be told with what else is."""

    def problem(self, path: KeyPath, message: str, *, at_key: bool = False) -> Problem:
        """Return a problem at the nearest known place above `path`."""
        marks = self.keys if at_key else self.values
        for length in range(len(path), -1, -1):
            mark = marks.get(path[:length]) or self.values.get(path[:length])
            if mark is not None:
                break
        else:
            mark = Mark(self.file)
        return Problem(message, dotted(path), mark.file, mark.line, mark.column)

    def below(self, path: KeyPath) -> Document:
        """Return the part of the document under `path`, as a document of its own."""
        data: Any = self.data
        for part in path:
            data = data[part]
        n = len(path)
        return replace(
            self,
            data=data,
            keys={key[n:]: mark for key, mark in self.keys.items() if key[:n] == path},
            values={key[n:]: mark for key, mark in self.values.items() if key[:n] == path},
        )


def dotted(path: KeyPath) -> str:
    """Return a path as people write it, quoting parts that hold a dot, a quote or a bracket.

    Examples
    --------
    >>> dotted(("chips", "my/chip-1.5", "aliases", 0))
    'chips."my/chip-1.5".aliases[0]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_PART.fullmatch(part) else _quoted(part))
    return text


def _quoted(part: str) -> str:
    return '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'


def nearest(name: str, allowed: Any) -> str:
    """Return `` Did you mean 'x'?`` for the allowed name most like `name`, or nothing.

    Examples
    --------
    >>> nearest("PUE", ["pue", "price"])
    " Did you mean 'pue'?"
    """
    by_key = {str(item).casefold(): str(item) for item in allowed}
    close = difflib.get_close_matches(plain(name).casefold(), by_key, n=1, cutoff=0.6)
    return f" Did you mean '{by_key[close[0]]}'?" if close else ""


def nearest_file(path: Path, *endings: str) -> str:
    """Return `` Did you mean 'x.yaml'?`` for a file most like a path that is none, or nothing.

    A name without its ending is the nearest of all. Looks at most at `MOST_BESIDE` files of the
    folder.

    Parameters
    ----------
    path : Path
        Where there is no file.
    endings : str
        Of the files that may be meant, such as ``.yaml``; if left out that of `path`, any that is
        read here if it has none.
    """
    allowed = endings or ((path.suffix,) if path.suffix else READ_HERE)
    try:
        beside = sorted(
            file.name
            for file in itertools.islice(path.parent.iterdir(), MOST_BESIDE)
            if file.suffix in allowed and file.is_file()
        )
    except (OSError, ValueError):  # no folder, or a name that is none
        return ""
    for file in beside:
        if path.name.casefold() in (file.casefold(), Path(file).stem.casefold()):
            return f" Did you mean '{path.parent / file}'?"
    hint = nearest(path.name, beside) or nearest(path.stem, [Path(file).stem for file in beside])
    names = [file for file in beside if f"'{file}'" in hint or f"'{Path(file).stem}'" in hint]
    return f" Did you mean '{path.parent / names[0]}'?" if names else ""


def load_document(path: Path, shown: str | None = None, list_of: str = "") -> Document:
    """Return the document in a file; for `list_of` see `parse_document`.

    Raises
    ------
    ScenarioError
        If the file cannot be read, is not UTF-8, or is not one plain YAML mapping.
    """
    name = shown or str(path)
    return parse_document(read_text(path, name), name, list_of)


def read_text(path: Path, name: str) -> str:
    """Return the text of a file; `name` is shown in messages.

    Raises
    ------
    ScenarioError
        If the file cannot be read, is too large, or is not UTF-8.
    """
    try:
        is_file, size = path.is_file(), path.stat().st_size
        raw = path.read_bytes() if is_file and size <= MAX_BYTES else b""
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        hint = nearest_file(path) if isinstance(error, FileNotFoundError) else ""
        said = f"cannot be read: {reason}{'.' if hint else ''}{hint}"
        raise ScenarioError.of(said, file=name) from None
    if not is_file:
        raise ScenarioError.of("is not a file", file=name)
    if size > MAX_BYTES:
        raise ScenarioError.of(f"is larger than {MAX_BYTES // 1_000_000} MB", file=name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise ScenarioError([Problem(message, "", name, line, column)]) from None


def parse_document(text: str, name: str, list_of: str = "") -> Document:
    r"""Return the document in a text; `name` is shown in messages.

    Parameters
    ----------
    text, name : str
        YAML; what to call it.
    list_of : str, optional
        The key whose value the text is, if it is a list alone.

    Examples
    --------
    >>> parse_document("pue: 1.1\n", "site.yaml").data
    {'pue': 1.1}
    >>> parse_document("- a\n", "cases.yaml", "cases").data
    {'cases': ['a']}
    """
    yaml = YAML(typ="safe", pure=True)
    deep = _DEEP.search(text)
    if deep is not None:
        message = f"is nested deeper than {MAX_DEPTH} levels"
        raise ScenarioError([Problem(message, "", name, *_line_and_column(text, deep.start()))])
    try:
        root = yaml.compose(text)
        if root is None:
            start = f"write a list of {list_of}" if list_of else "start with: computeplan init NAME"
            raise ScenarioError.of(f"is empty; {start}", file=name)
        return _Reader(name, yaml).read(root, list_of)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = (error.problem or error.context or "is not YAML").strip()
        if message == "but found another document":
            message = "a second document begins here; a file holds one"
        if "\\t" in message or "'\t'" in message:
            message = "a tab cannot start a token in YAML; indent with spaces"
        place = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        begin = error.context_mark or mark
        lines = text.split("\n")[max(begin.line - 1, 0) : mark.line + 1] if mark and begin else []
        for number, line in enumerate(lines, max(begin.line, 1) if begin else 1):
            if found := _FULL_WIDTH.search(line):
                message = f"{found[0]!r} is full-width; write {plain(line).strip()!r}"
                place = (number, found.start() + 1)
                break
        raise ScenarioError([Problem(message, "", name, *place)]) from None
    except ReaderError as error:
        place = _line_and_column(text, error.position)
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"the character U+{code:04X} is not allowed in YAML"
        raise ScenarioError([Problem(message, "", name, *place)]) from None
    except YAMLError as error:
        raise ScenarioError.of(" ".join(str(error).split()), file=name) from None
    except RecursionError:
        raise ScenarioError.of(f"is nested deeper than {MAX_DEPTH} levels", file=name) from None


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


class _Reader:
    """Walks a node tree once; aliases count each time they are used."""

    def __init__(self, name: str, yaml: YAML) -> None:
        self.name, self.yaml, self.left = name, yaml, MAX_NODES
        self.keys: dict[KeyPath, Mark] = {}
        self.values: dict[KeyPath, Mark] = {}
        self.problems: list[Problem] = []

    def read(self, root: Any, list_of: str) -> Document:
        if list_of and isinstance(root, SequenceNode):
            self.values[()] = self.place(root)
            data = {list_of: self.node(root, (list_of,))}
        else:
            data = self.node(root, ())
        if not isinstance(data, dict) and not self.problems:
            kind = "a list" if isinstance(data, list) else "a single value"
            self.wrong(root, (), f"must be a mapping of keys to values, not {kind}")
        if self.problems:
            raise ScenarioError(self.problems)
        return Document(data, self.name, self.keys, self.values)

    def place(self, node: Any) -> Mark:
        return Mark(self.name, node.start_mark.line + 1, node.start_mark.column + 1)

    def wrong(self, node: Any, path: KeyPath, message: str) -> None:
        mark = self.place(node)
        self.problems.append(Problem(message, dotted(path), self.name, mark.line, mark.column))

    def node(self, node: Any, path: KeyPath) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ScenarioError.of(
                f"holds more than {MAX_NODES} values (aliases count)", file=self.name
            )
        if len(path) > MAX_DEPTH:
            raise ScenarioError.of(f"is nested deeper than {MAX_DEPTH} levels", file=self.name)
        self.values[path] = self.place(node)
        if isinstance(node, MappingNode) and node.tag == "tag:yaml.org,2002:map":
            return self.mapping(node, path)
        if isinstance(node, SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.node(item, (*path, i)) for i, item in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self.scalar(node, path)
        self.wrong(node, path, f"the tag {str(node.tag)!r} is not allowed")
        return None

    def mapping(self, node: Any, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                self.wrong(key_node, path, "a key must be a plain name (for reuse: extends)")
                continue
            key = key_node.value
            if _NOT_TEXT.search(key):
                self.wrong(key_node, path, "a key holds a control character")
                continue
            if key in found:
                self.wrong(key_node, (*path, key), "the key stands twice; remove one")
                continue
            self.keys[*path, key] = self.place(key_node)
            found[key] = self.node(value_node, (*path, key))
        return found

    def scalar(self, node: Any, path: KeyPath) -> Any:
        if node.tag in _AS_TEXT:
            return str(node.value)
        if node.tag not in _SCALARS:
            self.wrong(node, path, f"the tag {str(node.tag)!r} is not allowed")
            return None
        try:
            value = self.yaml.constructor.construct_object(node)
        except ValueError:
            self.wrong(node, path, "the number cannot be read")
            return None
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            self.wrong(node, path, "the number is too large; write it like 3.8e25")
        elif isinstance(value, str) and _NOT_TEXT.search(value):
            self.wrong(node, path, "the text holds a control character")
        else:
            return value
        return None
