"""A reader for pickles of arrays, numbers, text and containers, which never calls anything.

A pickle is a program: it names functions and the arguments of their calls. Python's own reader
calls them. This one follows the opcodes itself: a name is a token to it, for which
`search.data.sources.pickled_arrays` builds a value, and any other name or opcode is refused.

Memory is bounded by the file: it is read whole, up to `_MOST_BYTES`; sizes and memo indices in
opcodes allocate nothing; and no more than `_MOST_STEPS` opcodes are followed.

Source: CPython's pickletools, which documents every opcode and reads its argument.
"""

import codecs
import io
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search.data.sources.pickled_arrays import NAMES, Array, Name, build, made
from search.errors import DataError
from search.files.reading import DamagedFile, read_limited

# CIFAR-100's training file, the largest, has 155 MB and takes 350,000 opcodes in protocol 0.
_MOST_BYTES = 2**29
_MOST_STEPS = 2**21
_MOST_LETTERS = 200  # of a message, which may quote the file


def read_pickle(path: Path) -> dict[bytes, object]:
    """Return the dictionary in a pickle, its keys as bytes; Python 2's text becomes bytes too.

    Raises:
        DataError: it is damaged, asks for anything else, or holds no dictionary.
    """
    try:
        content = _SafeUnpickler(read_limited(path, _MOST_BYTES)).result()
        if not isinstance(content, dict):
            raise DamagedFile("it holds no dictionary")
    except (DamagedFile, OSError) as error:
        raise DataError(
            f"a pickle must hold arrays and plain values, but {str(path)!r} could not be read "
            f"({str(error)[:_MOST_LETTERS]}); download it again from where you trust"
        ) from error
    return {_as_bytes(key): _filled(value) for key, value in content.items()}


def _as_bytes(key: str | bytes) -> bytes:
    return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key


def _filled(value: object) -> object:
    return value.values if isinstance(value, Array) else value


class _SafeUnpickler:
    """An interpreter of a pickle's opcodes."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self._letters_left = len(content)  # of text that may still be made bytes
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under each mark
        self._memo: dict[int, Any] = {}

    def result(self) -> object:
        """Return the object in the pickle.

        Raises:
            DamagedFile: it is damaged, or asks for what is not permitted.
        """
        try:
            for _ in range(_MOST_STEPS):
                opcode = self._next()
                if opcode.name == "STOP":
                    return self._stack.pop()
                _STEPS[opcode.name](self, self._argument(opcode))
        except DamagedFile:
            raise
        # Errors that opcodes in a wrong place raise.
        except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
            raise DamagedFile(f"it is damaged: {type(error).__name__}: {error}") from error
        raise DamagedFile(f"it has more than the {_MOST_STEPS:,} opcodes that are followed")

    def _next(self) -> pickletools.OpcodeInfo:
        code = self._file.read(1)
        opcode = _OPCODES.get(code)
        if opcode is None:
            place = self._file.tell() - len(code)
            raise DamagedFile(f"{code!r} at byte {place} is an opcode which is not permitted")
        return opcode

    def _argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        if opcode.name == "STRING":  # pickletools takes ASCII alone, where Python 2 wrote any byte
            return _python_2_text(self._file.readline())
        return None if opcode.arg is None else opcode.arg.reader(self._file)

    def mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def push(self, value: object) -> None:
        self._stack.append(value)

    def push_integer(self, value: int) -> None:
        if not -(2**63) <= value < 2**63:
            raise DamagedFile("it holds an integer of more than 64 bits")
        self._stack.append(value)

    def push_tuple(self, length: int) -> None:
        self._stack.append(tuple(self.pop(length)))

    def push_dictionary(self, items: list[Any]) -> None:
        self._stack.append({})
        self.set_items(items)

    def push_name(self, names: list[Any]) -> None:
        module, name = names
        if not (isinstance(module, str) and isinstance(name, str)):
            raise DamagedFile("it asks for a name that is no text")
        if (module, name) not in NAMES:
            raise DamagedFile(f"it asks for {f'{module}.{name}'[:80]!r}, which is not permitted")
        self._stack.append(NAMES[module, name])

    def pop(self, count: int) -> list[Any]:
        return [self._stack.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list[Any]:
        above, self._stack = self._stack, self._below.pop()
        return above

    def put(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._stack[-1]

    def get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def append(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise DamagedFile("it appends to what is no list")
        self._stack[-1].extend(values)

    def set_items(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise DamagedFile("it sets an item of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Numbers can be chosen so that all of them collide in the hash table.
            if not isinstance(key, str | bytes):
                raise DamagedFile("a dictionary has a key that is no text")
            self._stack[-1][key] = value

    def reduce(self, _: object) -> None:
        name, given = self.pop(2)
        if not isinstance(name, Name) or not isinstance(given, tuple):
            raise DamagedFile("it calls what it did not name, which is not permitted")
        if name is Name.BYTES_OF_TEXT:
            self._letters_left -= len(given[0])
            if self._letters_left < 0:  # one text in the file could be encoded many times
                raise DamagedFile("it makes more bytes of its text than it has itself")
        self._stack.append(made(name, given))

    def build(self, _: object) -> None:
        state = self._stack.pop()
        build(self._stack[-1], state)


def _python_2_text(line: bytes) -> bytes:
    """Return the text in quotes, its escapes resolved."""
    text = line.strip()
    if len(text) < 2 or text[:1] not in (b"'", b'"') or text[:1] != text[-1:]:
        raise DamagedFile("a text stands in no quotes")
    plain: bytes = codecs.escape_decode(text[1:-1])[0]
    return plain


_Step = Callable[[_SafeUnpickler, Any], object]

_STEPS: Mapping[str, _Step] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda reader, _: None),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2"), _SafeUnpickler.push_integer),
    **dict.fromkeys(("LONG", "LONG1", "LONG4"), _SafeUnpickler.push_integer),
    **dict.fromkeys(("FLOAT", "BINFLOAT", "STRING"), _SafeUnpickler.push),
    **dict.fromkeys(
        ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _SafeUnpickler.push
    ),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"), _SafeUnpickler.push),
    # As pickletools decodes what Python 2 wrote.
    **dict.fromkeys(
        ("BINSTRING", "SHORT_BINSTRING"), lambda reader, text: reader.push(text.encode("latin-1"))
    ),
    "NONE": lambda reader, _: reader.push(None),
    "NEWTRUE": lambda reader, _: reader.push(True),
    "NEWFALSE": lambda reader, _: reader.push(False),
    "EMPTY_LIST": lambda reader, _: reader.push([]),
    "EMPTY_TUPLE": lambda reader, _: reader.push(()),
    "EMPTY_DICT": lambda reader, _: reader.push({}),
    "LIST": lambda reader, _: reader.push(reader.pop_to_mark()),
    "TUPLE": lambda reader, _: reader.push(tuple(reader.pop_to_mark())),
    "DICT": lambda reader, _: reader.push_dictionary(reader.pop_to_mark()),
    "TUPLE1": lambda reader, _: reader.push_tuple(1),
    "TUPLE2": lambda reader, _: reader.push_tuple(2),
    "TUPLE3": lambda reader, _: reader.push_tuple(3),
    "MARK": _SafeUnpickler.mark,
    "POP": lambda reader, _: reader.pop(1),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _SafeUnpickler.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _SafeUnpickler.get),
    "APPEND": lambda reader, _: reader.append(reader.pop(1)),
    "APPENDS": lambda reader, _: reader.append(reader.pop_to_mark()),
    "SETITEM": lambda reader, _: reader.set_items(reader.pop(2)),
    "SETITEMS": lambda reader, _: reader.set_items(reader.pop_to_mark()),
    "GLOBAL": lambda reader, names: reader.push_name(names.split(" ")),
    "STACK_GLOBAL": lambda reader, _: reader.push_name(reader.pop(2)),
    "REDUCE": _SafeUnpickler.reduce,
    "BUILD": _SafeUnpickler.build,
}
"""The action for each opcode that is followed."""

_OPCODES = {
    opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes if opcode.name in _STEPS
}
