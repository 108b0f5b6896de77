"""A safe reader of pickles with arrays, numbers, text and containers.

A pickle is a program: it names functions and the arguments of their calls, and Python's own reader
calls them. This reader interprets the opcodes itself and calls no function of the pickle. A
permitted name is only a token, for which `search.data.sources.pickled_arrays` creates a value. Any
other name or opcode is refused.

The memory is limited by the file: it may have at most `_MOST_BYTES`; sizes and memo indices in
opcodes allocate nothing; and at most `_MOST_STEPS` opcodes are executed.

Source: CPython's pickletools, which documents every opcode and reads its argument.
"""

import codecs
import io
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from search.data.sources.pickled_arrays import NAMES, Array, Name, build, call_result
from search.errors import DataError
from search.files.reading import DamagedFile, read_limited

# The largest known file, CIFAR-100's training file, has 155 MB and 350,000 opcodes in protocol 0.
_MOST_BYTES = 2**29
_MOST_STEPS = 2**21
_MOST_LETTERS = 200  # of an error message, which may quote the file


def read_pickle(path: Path) -> dict[bytes, object]:
    """Read the dictionary in a pickle; its keys and the text of Python 2 are returned as bytes.

    Raises:
        DataError: the pickle is damaged, contains anything not permitted, or is not a dictionary.
    """
    try:
        content = _SafeUnpickler(read_limited(path, _MOST_BYTES)).result()
        if not isinstance(content, dict):
            raise DamagedFile("it must contain a dictionary, but does not")
    except (DamagedFile, OSError) as error:
        raise DataError(
            f"a pickle must contain only arrays and plain values, but {str(path)!r} can't be read "
            f"({str(error)[:_MOST_LETTERS]}); download it again from a trusted source"
        ) from error
    return {_as_bytes(key): _filled(value) for key, value in content.items()}


def _as_bytes(key: str | bytes) -> bytes:
    return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key


def _filled(value: object) -> object:
    return value.values if isinstance(value, Array) else value


class _SafeUnpickler:
    """An interpreter for the opcodes of a pickle."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)
        self._letters_left = len(content)  # how much text may still be encoded to bytes
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stack below each mark
        self._memo: dict[int, Any] = {}

    def result(self) -> object:
        """Return the object in the pickle.

        Raises:
            DamagedFile: the pickle is damaged, or contains anything not permitted.
        """
        try:
            for _ in range(_MOST_STEPS):
                opcode = self._next()
                if opcode.name == "STOP":
                    return self._stack.pop()
                _STEPS[opcode.name](self, self._argument(opcode))
        except DamagedFile:
            raise
        # The errors of opcodes in a wrong place.
        except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
            raise DamagedFile(f"it is damaged: {type(error).__name__}: {error}") from error
        raise DamagedFile(f"it must have at most {_MOST_STEPS:,} opcodes, but has more")

    def _next(self) -> pickletools.OpcodeInfo:
        code = self._file.read(1)
        opcode = _OPCODES.get(code)
        if opcode is None:
            place = self._file.tell() - len(code)
            raise DamagedFile(f"{code!r} at byte {place} is an opcode that is not permitted")
        return opcode

    def _argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        if opcode.name == "STRING":  # pickletools accepts only ASCII, but Python 2 wrote any byte
            return _python_2_text(self._file.readline())
        return None if opcode.arg is None else opcode.arg.reader(self._file)

    def mark(self, _: object) -> None:
        self._below.append(self._stack)
        self._stack = []

    def push(self, value: object) -> None:
        self._stack.append(value)

    def push_integer(self, value: int) -> None:
        if not -(2**63) <= value < 2**63:
            raise DamagedFile("its integers must have at most 64 bits, but one has more")
        self._stack.append(value)

    def push_tuple(self, length: int) -> None:
        self._stack.append(tuple(self.pop(length)))

    def push_dictionary(self, items: list[Any]) -> None:
        self._stack.append({})
        self.set_items(items)

    def push_name(self, names: list[Any]) -> None:
        module, name = names
        if not (isinstance(module, str) and isinstance(name, str)):
            raise DamagedFile("it uses a name that is not text")
        if (module, name) not in NAMES:
            raise DamagedFile(f"it uses {f'{module}.{name}'[:80]!r}, which is not permitted")
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
            raise DamagedFile("it appends to a value that is not a list")
        self._stack[-1].extend(values)

    def set_items(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise DamagedFile("it sets an item of a value that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Numbers as keys could be chosen to collide in the hash table, which would be slow.
            if not isinstance(key, str | bytes):
                raise DamagedFile("a dictionary has a key that is not text")
            self._stack[-1][key] = value

    def reduce(self, _: object) -> None:
        name, arguments = self.pop(2)
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise DamagedFile("it calls a value that is not a permitted name")
        if name is Name.BYTES_OF_TEXT:
            self._letters_left -= len(arguments[0])
            if self._letters_left < 0:  # a file could encode the same text many times
                raise DamagedFile("it encodes more text than it contains")
        self._stack.append(call_result(name, arguments))

    def build(self, _: object) -> None:
        state = self._stack.pop()
        build(self._stack[-1], state)


def _python_2_text(line: bytes) -> bytes:
    """Return the text within quotes, with its escapes decoded."""
    text = line.strip()
    if len(text) < 2 or text[:1] not in (b"'", b'"') or text[:1] != text[-1:]:
        raise DamagedFile("a text has no quotes")
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
    # The text of Python 2, which pickletools decodes as latin-1.
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
"""The action for each permitted opcode."""

_OPCODES = {
    opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes if opcode.name in _STEPS
}
