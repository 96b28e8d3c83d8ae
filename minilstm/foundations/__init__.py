"""What every room may use, and what uses none of them:

errors        one wording, "argument, expected, got"; checks of single values
arrays        the type of arrays; what a user gives as one
files         files that are whole or not there
norms         norms that neither overflow nor underflow
tables        text in columns
notebook      how results look in a notebook
interrupts    Ctrl-C as a flag
signatures    signatures as help shows them
forks         a fork waits for imports and compilations
"""
