"""`minilstm examples`: the examples that come with the package, listed or copied to a folder."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

import minilstm
from minilstm.foundations import files
from minilstm.foundations.errors import fail, in_words, wording
from minilstm.foundations.tables import in_columns, terminal_width


def run(options: argparse.Namespace) -> int:
    """List or copy; the exit code."""
    sources = found()
    if not sources:
        return fail("the examples are not installed with this copy of minilstm", 1)
    if options.what == "list":
        if options.names:
            return fail(wording("NAME", "left out for examples list", repr(options.names[0])), 2)
        rows = [(name, question(path)) for name, path in sources.items()]
        print("\n".join(in_columns(rows, left=2, width=terminal_width())))
        return 0
    if "" in options.names:
        return fail(wording("NAME", "the name of an example or its beginning", "''"), 2)
    wanted = options.names or list(sources)
    chosen = {
        given: [name for name in sources if name.startswith(given.removesuffix(".py"))] for given in wanted
    }
    unknown = [given for given, names in chosen.items() if not names]
    if unknown:
        return fail(f"no example is called {unknown[0]}: see `minilstm examples list`", 2)
    try:
        files.check_folder(options.out)
    except OSError as error:
        return fail(in_words(error), 2)
    try:
        files.make_folder(options.out)
        for name in sorted({name for names in chosen.values() for name in names}):
            target, text = options.out / sources[name].name, sources[name].read_bytes()
            if target.exists() and files.read_bytes(target) != text:
                return fail(f"{target} is there already, and another file: move it, or give --out", 2)
            files.write_bytes(target, text)
            print(f"copied: {target}")
    except OSError as error:
        return fail(in_words(error), 1)
    return 0


def found() -> dict[str, Path]:
    """The examples by name: in the package as it is installed, or beside it in a checkout."""
    package = Path(minilstm.__file__).parent
    for folder in (package / "examples", package.parent / "examples"):
        sources = {path.stem: path for path in sorted(folder.glob("[0-9]*.py"))}
        if sources:
            return sources
    return {}


def question(path: Path) -> str:
    """The first line of an example's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
