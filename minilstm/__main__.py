"""`python -m minilstm`: the same as the command `minilstm`."""

from __future__ import annotations

import sys

from minilstm.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
