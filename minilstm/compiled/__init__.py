"""The same, fast: the steps of `bptt` compiled with Numba. Nothing outside this folder imports numba.

To be read in this order; what makes a step fast is in the first three.

    tile.py          a matrix product whose result stays in registers; the page to begin with
    vectors.py       numbers side by side in registers: load, store, + - * /, exp, sigmoid, tanh
    panels.py        how the arrays are laid out, and why; the products of a step
    lstm.py          the LSTM's equations, line by line under the tags of `bptt`, forward and backward
    gru.py  simple_rnn.py
    recording.py     norms of the gradients at every step
    adam.py  classic.py     what else is compiled

    jit.py           the options of all kernels, and what is asked of the processor
    entry_points.py  what Python calls: compiled once, kept on disk
    user_steps.py  functions.py  user_memory.py    the same for cells that somebody wrote
    memory.py        the functions of `bptt.steps` by these kernels: packing, the tape
    inference.py     forward where no backward pass will follow
    chunks.py  threads.py    chunks of the batch, and several of them at the same time
    engines.py       which of the two backends does the work
"""
