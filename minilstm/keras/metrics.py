"""The names of `keras.metrics`; see `minilstm.keras.scope` for what each is here."""

from minilstm.keras import scope

__getattr__, __dir__ = scope.lookup("metrics")
