"""The type of every array: any dtype, any shape. Shapes stand in comments, in the letters of `bptt.cell`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
