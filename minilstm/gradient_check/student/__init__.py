"""Checks of functions that somebody wrote by hand, and the likely cause of what is wrong with them.

signature    what the functions take and give: names found out, or told
functions    calling them: each backward right after a forward of its own, which begins afresh (`pristine`)
cases        the random network and data
derivatives  numeric gradients of their own forward pass
check        check_step, check_sequence: one beside the other
laws         what every backward pass obeys, whatever its formulas
forwards     which cell the forward pass is
diagnosis    from wrong gradients to a cause: `endings`, `formulas`, `mistakes`, `slips`
by_name      weights in a dict or a list, or in another layout; objects: layer objects, and the loss inside
suggest      the adapter that fits
runner       a file, in a process of its own
"""
