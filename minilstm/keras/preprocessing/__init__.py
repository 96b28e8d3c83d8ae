"""The names of `keras.preprocessing`; see `minilstm.keras.scope` for what each is here."""

from minilstm.keras import scope

__getattr__, __dir__ = scope.lookup("preprocessing")
