"""The few error types of minilstm, and one wording for "argument, expected, got".

Arguments are checked at the public edge, before any work, with the helpers of this file. It is not
a validation framework: each helper returns the checked value or raises, and nothing more.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import operator
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from numbers import Number
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

__all__ = ["NonFiniteError", "PaddingWarning", "WeightsFileError"]

LONGEST = 2000  # letters of an error of a command, which may quote a file

P = ParamSpec("P")
R = TypeVar("R")


class NonFiniteError(ArithmeticError, RuntimeError):
    """Training met a loss or a gradient that is NaN or infinite.

    origin : the `minilstm.trace.nonfinite.Origin` of the first such value, where it was found; otherwise None
    """

    def __init__(self, message: str, origin: Any = None) -> None:
        super().__init__(message)
        self.origin = origin


class NoRoomError(MemoryError):
    """What was asked for takes more memory than there is, known before any work: see `check_room`."""


class PaddingWarning(UserWarning):
    """`pad_sequences` gave Keras's result, and that result lost some of the data."""


class WeightsFileError(ValueError):
    """A file of weights cannot be read: damaged, foreign, hostile, newer, or of another model.

    `path` is the file, `reason` says what is wrong with it. Nothing of the file was used.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple[type[WeightsFileError], tuple[str, str]]:
        return type(self), (self.path, self.reason)


def wording(argument: str, expected: str, got: object) -> str:
    """The one sentence every error uses.

    >>> wording("units", "a whole number >= 1", 0)
    'units must be a whole number >= 1, got 0'
    """
    return f"{argument} must be {expected}, got {got}"


def shown(value: object) -> str:
    """`value` as an error quotes it, in 80 letters at most, whatever it is.

    >>> shown("x"), len(shown(list(range(1000))))
    ("'x'", 80)
    """
    try:
        return f"{value!r:.80}"
    except Exception:  # lists inside each other without an end, or a class of the user's that fails here
        return f"a {type(value).__name__}"


def sized(value: object) -> str:
    """What kind of thing an error is about, a list or a tuple with its length.

    >>> sized([1, 2]), sized(3)
    ('list of 2', 'int')
    """
    return type(value).__name__ + (f" of {len(value)}" if isinstance(value, (list, tuple)) else "")


def whole_number(argument: str, value: Any, minimum: int = 1, *, wide: bool = False) -> int:
    """`value` as an int that is at least `minimum`, of 64 bits, or of 10,000 if it is `wide`, as seeds are.

    TypeError or ValueError otherwise.

    >>> whole_number("units", 64)
    64
    """
    expected = f"a whole number >= {minimum}"
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(wording(argument, expected, shown(value)))
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(wording(argument, expected, shown(value))) from None
    if number < minimum:
        raise ValueError(wording(argument, expected, number))
    if number.bit_length() > (10_000 if wide else 63):  # the first can still be written into a file
        most = "10,000" if wide else "64"
        raise ValueError(wording(argument, f"{expected} of {most} bits", f"one of {number.bit_length()}"))
    return number


def check_room(what: str, nbytes: int) -> None:
    """Raise NoRoomError where `what` takes more memory than there is: before work that fills it bit by bit.

    >>> check_room("10**15 models", 10**18)
    Traceback (most recent call last):
    minilstm.foundations.errors.NoRoomError: 10**15 models takes 1e+09 GB at the least, more than there is
    """
    try:
        np.empty(nbytes, np.uint8)
    except (MemoryError, ValueError):
        text = f"{what} takes {nbytes / 1e9:.3g} GB at the least, more than there is"
        raise NoRoomError(text) from None


def real_number(
    argument: str, value: Any, minimum: float = 0.0, *, above: bool = False, below: float = np.inf
) -> float:
    """`value` as a finite float, `minimum <= value < below` (`minimum < value` if `above`).

    >>> real_number("learning_rate", 1e-3, above=True)
    0.001
    """
    expected = "a finite number"
    if minimum > -np.inf:
        expected += f" {'>' if above else '>='} {minimum:g}"
    if below < np.inf:
        expected += f" and < {below:g}"
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(wording(argument, expected, shown(value)))
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(wording(argument, expected, shown(value))) from None
    except OverflowError:
        raise ValueError(wording(argument, expected, "a whole number of more digits")) from None
    if not (-np.inf < number < below) or not (minimum < number if above else minimum <= number):
        raise ValueError(wording(argument, expected, number))
    return number


def flag(argument: str, value: Any) -> bool:
    """`value` as a bool, which it is, or NumPy's; TypeError otherwise.

    >>> flag("nesterov", np.True_)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(wording(argument, "True or False", shown(value)))
    return bool(value)


def switch(argument: str, value: Any) -> bool:
    """A flag as scripts for Keras write it: True or False, or 1 or 0; TypeError otherwise.

    >>> switch("return_sequences", 1)
    True
    """
    number = isinstance(value, (int, np.integer)) and value in (0, 1)
    return bool(value) if number else flag(argument, value)


def instance(argument: str, value: Any, kind: type[Any] | tuple[type[Any], ...], expected: str) -> Any:
    """`value`, which is of that kind; TypeError otherwise.

    >>> instance("label", "trained", str, "a text")
    'trained'
    """
    if not isinstance(value, kind):
        raise TypeError(wording(argument, expected, shown(value)))
    return value


def in_utf8(text: str) -> bool:
    """Whether a file can hold `text`: UTF-8 has no lone surrogates.

    >>> in_utf8("naïve"), in_utf8("\\ud800")
    (True, False)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def given_name(argument: str, value: Any, without: str = "") -> str:
    """`value` as a name that files and figures can hold, without that letter; ValueError otherwise.

    >>> given_name("name", "lstm_1", "/")
    'lstm_1'
    """
    expected = "a non-empty string" + (f" without {without!r}" if without else "")
    if not isinstance(value, str) or not value or (without and without in value):
        raise ValueError(wording(argument, expected, shown(value)))
    if not in_utf8(value):
        raise ValueError(wording(argument, f"{expected}, of text that UTF-8 has", shown(value)))
    return value


def verbosity(value: Any, expected: str = "0, 1 or 2") -> int:
    """`verbose` as 0, 1 or 2, False and True being 0 and 1; ValueError otherwise.

    >>> verbosity(True)
    1
    """
    if not isinstance(value, (int, np.integer, np.bool_)) or value not in (0, 1, 2):
        raise ValueError(wording("verbose", expected, shown(value)))
    return int(value)


def described(argument: str, value: Any) -> tuple[Any, dict[str, Any]]:
    """Class name and arguments in what `serialize` gave; TypeError where it is nothing like it.

    >>> described("loss", {"class_name": "Huber", "config": {"delta": 2.0}})
    ('Huber', {'delta': 2.0})
    """
    if not isinstance(value, Mapping):
        expected = 'a description {"class_name": ..., "config": {...}}'
        raise TypeError(wording(argument, expected, shown(value)))
    return value.get("class_name"), by_name(f"config of {argument}", value.get("config", {}))


def by_name(argument: str, value: Any) -> dict[str, Any]:
    """`value` as a dict of arguments; TypeError where it is none.

    >>> by_name("config", {"units": 3})
    {'units': 3}
    """
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise TypeError(wording(argument, "a dict of arguments by name", shown(value)))
    return dict(value)


def number_dtype(argument: str, value: Any) -> np.dtype[Any]:
    """`value` as a dtype of numbers; TypeError otherwise.

    >>> number_dtype("dtype", "float32")
    dtype('float32')
    """
    try:
        own = value is None or isinstance(value, np.generic)  # of a number NumPy takes its own
        found = np.dtype(object if own else value)
    except Exception:  # TypeError; for a text with a lone surrogate ValueError; what its repr raises
        found = np.dtype(object)
    if found.kind not in "fciu":
        raise TypeError(wording(argument, "a dtype of numbers, as 'float32'", shown(value)))
    return found


def listed(argument: str, expected: str, value: Any) -> list[Any]:
    """What `value` consists of, in order; TypeError where it has none: text, a set, a dict, a number.

    >>> listed("boundaries", "a list of numbers", (1, 2))
    [1, 2]
    """
    with suppress(TypeError):
        if not isinstance(value, (str, bytes, Set, Mapping)):
            return list(value)
    raise TypeError(wording(argument, expected, shown(value)))


def settle(owner: Any, **values: Any) -> None:
    """Give a frozen object what the checks of its arguments returned: floats of Python, not arrays."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def among(value: Any, choices: Iterable[Any]) -> bool:
    """Whether `value` is one of these words, numbers and None; an array or a table is none of them.

    >>> among(0, (False, None)), among(np.zeros(2), (0,))
    (True, False)
    """
    plain = value is None or isinstance(value, (str, Number, np.bool_))
    return plain and any(value == choice for choice in choices)


def one_of(argument: str, value: Any, choices: Iterable[str]) -> str:
    """`value` if it is one of `choices`; ValueError otherwise.

    >>> one_of("padding", "pre", ["pre", "post"])
    'pre'
    """
    choices = list(choices)
    if not among(value, choices):
        expected = " or ".join(repr(choice) for choice in choices)
        raise ValueError(wording(argument, expected, shown(value)) + nearest(value, choices))
    return str(value)


def kinds_of(base: Any) -> dict[str, Any]:
    """The classes below `base` by their names, for `one_of`; a private one has only those below it.

    >>> kinds_of(ArithmeticError)["ZeroDivisionError"]
    <class 'ZeroDivisionError'>
    """
    found: dict[str, Any] = {}
    for kind in base.__subclasses__():
        found |= ({} if kind.__name__.startswith("_") else {kind.__name__: kind}) | kinds_of(kind)
    return found


def nearest(value: object, choices: Iterable[str]) -> str:
    """What a misspelled name may have meant, to be added to an error; nothing where no name is near.

    >>> nearest("adm", ["adam", "sgd"])
    "; did you mean 'adam'?"
    """
    close = difflib.get_close_matches(value, list(choices), 1) if isinstance(value, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""


def snake_case(name: str) -> str:
    """The name of a class as Keras writes it in logs.

    >>> snake_case("RootMeanSquaredError"), snake_case("AUC")
    ('root_mean_squared_error', 'auc')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def misspelled(owner: str, name: str, known: Iterable[str]) -> TypeError:
    """The error for an argument that `owner` does not have, with the nearest one that it has.

    >>> str(misspelled("LSTM", "unit", ["units", "name"]))
    "LSTM has no argument 'unit'; did you mean 'units'?"
    """
    names = sorted(known)
    hint = nearest(name, names) or f"; it has {', '.join(names)}"
    return TypeError(f"{owner} has no argument {name!r}{hint}")


@overload
def spelled(function: type[R]) -> type[R]: ...


@overload
def spelled(function: Callable[P, R]) -> Callable[P, R]: ...


def spelled(function: Any) -> Any:
    """`function`, or a class, which says of a misspelled argument what it may have meant.

    >>> @spelled
    ... def fit(x, epochs=1): ...
    >>> fit(0, epoch=2)
    Traceback (most recent call last):
    TypeError: fit has no argument 'epoch'; did you mean 'epochs'?
    """
    if isinstance(function, type):
        function.__init__ = spelled(function.__init__)  # type: ignore[misc]
        return function
    parameters = inspect.signature(function).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return function
    names = set(parameters) - {"self"}

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in names:
                made = function.__name__ == "__init__"
                raise misspelled(type(args[0]).__name__ if made else function.__qualname__, name, names)
        return function(*args, **kwargs)

    return checked


def fail(message: str, code: int) -> int:
    """For commands: the message as one line on stderr, of LONGEST letters at most; the exit code."""
    print(f"minilstm: error: {one_line(message)}", file=sys.stderr)
    return code


def one_line(message: str) -> str:
    """`message` on one line for a terminal; of a longer one than LONGEST letters the beginning and the end.

    >>> one_line("two\\nlines"), len(one_line("x" * 10**5))
    ('two lines', 2005)
    """
    line = printable(" ".join(message.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def printable(text: str) -> str:
    """`text` for a terminal: without control characters and without marks that turn its direction.

    >>> printable("red\x1b[31m")
    'red?[31m'
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "?", text)


def reworded(error: Exception, text: str) -> Exception:
    """An exception that says `text`, of the error's type, or the nearest above it that is made of a text.

    >>> reworded(UnicodeDecodeError("utf-8", b"", 0, 1, "invalid"), "line 3: no text")
    UnicodeError('line 3: no text')
    """
    for kind in type(error).__mro__:
        try:
            return kind(text)  # type: ignore[no-any-return]
        except TypeError:  # json's and Unicode's errors are made of several things
            continue
    raise AssertionError(error)


def in_words(error: BaseException) -> str:
    """What an exception says, with the file that an OSError is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__
