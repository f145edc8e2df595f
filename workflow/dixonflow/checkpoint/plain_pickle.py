"""Reads pickles of plain values and refuses all others: no object of Python's is looked up, nothing is called.

A pickle is a program for a small stack machine. This one has the instructions that `torch.save` writes (protocol 2) for
numbers, texts, lists, tuples and dictionaries, and calls only what its caller passes in. What the values take in memory
is counted while they are made, since one byte of a pickle can make an object of hundreds.
"""

import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_FETCH = {"BINGET", "LONG_BINGET"}
_STORE = {"BINPUT", "LONG_BINPUT"}

_SMALL_BYTES = 48
"""At least what a number, or a place on the stack, takes."""
_COSTS = dict.fromkeys(("EMPTY_LIST", "EMPTY_DICT", "SETITEM", *_STORE), 112) | dict.fromkeys(("TUPLE", *_TUPLES), 80)
_ITEM_BYTES = 128
"""At least what an entry of a dictionary takes."""

_MAX_KEY = 2**60
"""Larger whole numbers can be chosen so that a dictionary becomes slow."""


class PickleRefusedError(Exception):
    """The pickle is damaged or holds other than plain values. The message says what it holds."""


@dataclass(frozen=True)
class Constructor:
    """What an allowed name of the pickle stands for where it is called.

    Attributes
    ----------
    build
        Gets plain values and must check them.
    max_bytes
        What its result takes in memory.
    """

    build: Callable[..., Any]
    max_bytes: int = 128


def read_pickle(data: bytes, allowed: Mapping[str, Any], persistent: Callable[[Any], Any], *, max_bytes: int) -> Any:
    """Read a pickle of plain values.

    Parameters
    ----------
    data
        The pickle.
    allowed
        What each name (`module.name`) stands for that the pickle may hold: a value, or a `Constructor`.
    persistent
        Called with what the pickle says of an object that is stored elsewhere.
    max_bytes
        What all values together may take in memory.

    Raises
    ------
    PickleRefusedError
        If it holds anything else, is damaged, or takes more.
    """
    machine = _Machine(allowed, persistent, max_bytes)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
        (value,) = machine.stack
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise PickleRefusedError("is damaged") from error
    return value


class _Machine:
    def __init__(self, allowed: Mapping[str, Any], persistent: Callable[[Any], Any], max_bytes: int) -> None:
        self._allowed = allowed
        self._persistent = persistent
        self._left = max_bytes
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self.stack: list[Any] = []

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        self._count(_COSTS.get(name, _SMALL_BYTES) + (4 * len(argument) if isinstance(argument, str) else 0))
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _STORE:
            self._memo[argument] = stack[-1]
        elif name in _FETCH:
            stack.append(self._memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            start = len(stack) - _TUPLES[name]
            if start < 0:
                raise IndexError
            stack[start:] = [tuple(stack[start:])]
        elif name in {"PROTO", "STOP"}:
            pass
        else:
            _STEPS.get(name, _Machine._unknown)(self, argument)

    def _count(self, taken: int) -> None:
        self._left -= taken
        if self._left < 0:
            raise PickleRefusedError("holds more values than a network has")

    def _unknown(self, _: Any) -> None:
        raise PickleRefusedError("holds values other than tensors and plain values")

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self.stack))

    def _list(self, _: Any) -> None:
        self.stack.append([])

    def _dict(self, _: Any) -> None:
        self.stack.append({})

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._extend([item])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError
        target.extend(items)

    def _set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set_items(self, _: Any) -> None:
        self._set(self._since_mark())

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in {dict, OrderedDict}:
            raise TypeError
        self._count(_ITEM_BYTES * len(items) // 2)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in {str, int, float, bool} or (type(key) is int and abs(key) >= _MAX_KEY):
                raise TypeError
            target[key] = value

    def _global(self, argument: str) -> None:
        name = argument.replace(" ", ".", 1)
        if name not in self._allowed:
            shown = f" {name}" if re.fullmatch(r"[\w.]{1,100}", name) else ""
            raise PickleRefusedError(f"holds the Python object{shown}, which is not allowed in a checkpoint")
        self.stack.append(self._allowed[name])

    def _reduce(self, _: Any) -> None:
        arguments, constructor = self.stack.pop(), self.stack.pop()
        if type(constructor) is not Constructor or type(arguments) is not tuple:
            raise TypeError
        self._count(constructor.max_bytes)
        self.stack.append(constructor.build(*arguments))

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is OrderedDict:
            return  # attributes, which torch gives it: nothing of ours
        self.stack[-1] = target.with_state(state)  # of what a constructor made; nothing else has it

    def _stored(self, _: Any) -> None:
        self.stack.append(self._persistent(self.stack.pop()))


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "EMPTY_LIST": _Machine._list,
    "EMPTY_DICT": _Machine._dict,
    "TUPLE": _Machine._tuple,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._set_item,
    "SETITEMS": _Machine._set_items,
    "GLOBAL": _Machine._global,
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
    "BINPERSID": _Machine._stored,
}
