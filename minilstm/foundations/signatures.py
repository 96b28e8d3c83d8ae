"""Signatures of classes whose constructors hand arguments on, as `inspect`, help and notebooks show them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ForwardRef


def text(annotation: Any) -> Any:
    """The annotation as it is written: a TypedDict keeps it as a ForwardRef, which shows its module."""
    return annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation


class WholeSignature:
    """`__signature__` of a class: where its constructor hands keywords on (`**words`), the arguments that
    these may be. The code has them once, in the base class.

    words : those that the last base class takes as keywords, and their types; `defaults` of those that are
    not None
    """

    def __init__(self, words: Mapping[str, Any], **defaults: Any) -> None:
        keyword = inspect.Parameter.KEYWORD_ONLY
        self.words = [
            inspect.Parameter(name, keyword, default=defaults.get(name), annotation=text(annotation))
            for name, annotation in words.items()
        ]

    def __get__(self, made: object, kind: type) -> inspect.Signature:
        if made is not None:  # a layer is called otherwise than its class
            raise AttributeError("__signature__")
        found: dict[str, inspect.Parameter] = {}
        for base in kind.__mro__[:-1]:  # object's takes anything
            if "__init__" not in vars(base):
                continue
            _, *given = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
            named = [one for one in given if one.kind is not one.VAR_KEYWORD]
            own = [one for one in named if not found or one.kind is one.KEYWORD_ONLY]
            found |= {one.name: one for one in own if one.name not in found}
            if len(named) == len(given):
                break  # nothing is handed on
        else:
            found |= {one.name: one for one in self.words if one.name not in found}
        return inspect.Signature(list(found.values()))
