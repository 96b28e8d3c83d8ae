"""Gradient checks that cannot be fooled: for minilstm's own backward passes, and for yours.

    numeric     derivatives from the function itself: complex step, central differences
    model       gradcheck: a model's own gradients, at every step (`nudges`)
    student/    check_step, check_sequence: functions that somebody wrote by hand, and the likely cause
    adapters    other shapes and styles of hand-written code
    report      what was found, in numbers and words

Why not the usual check: central differences with an absolute tolerance pass any gradient that has
vanished, right or wrong. The complex step has no cancellation, and errors here are relative.
"""

from __future__ import annotations

from minilstm.gradient_check.model import gradcheck
from minilstm.gradient_check.report import Comparison, Report
from minilstm.gradient_check.student.check import check_sequence, check_step

__all__ = ["Comparison", "Report", "check_sequence", "check_step", "gradcheck"]
