"""Backpropagation through time in NumPy: the lesson. Read it in this order, in an afternoon.

You need the chain rule, and to have seen backpropagation go through the layers of a network. A recurrent
network is one layer, the cell, applied again at every time step to the next input and its own last output;
h_0 is given, zeros as a rule:

                     h_1                 h_2             to the layer above, which may read only the last
                      |                   |
    h_0 -> [ step ] --+--> [ step ] ------+--> ...       forward: from left to right, and up
              |               |                          backward: against every arrow
             x_1             x_2

Written out over T steps it is a deep network of T layers, and BPTT is backpropagation through it. Two things
are its own. All these layers have the same weights, so the gradients of the weights are summed over the
steps. And h_t goes two ways, up and to the right, so two gradients come back to it and are added. The rest is
the chain rule within one step:

    cell               15 min   the symbols, the shapes, what a cell is
    activations         5 min   sigmoid and tanh, and their derivatives
    simple_rnn         10 min   the shortest cell: one line forward, one line backward
    lstm               40 min   the LSTM's step: F1..F7 forward, B1..B7 backward
    steps              40 min   the loop over time: S1..S7
    tape               10 min   what forward hands to backward
    segments           30 min   the whole of time: full, checkpointed, truncated

and where you want more:

    gru                20 min   two gates instead of three, and a second path of its own
    variants           20 min   the LSTM of 1997, coupled gates, peepholes
    pieces, engine     15 min   segments put together again, and who runs their steps

A tag names one equation, where it is derived, at its line of NumPy, and at its line in `minilstm.compiled`.
F1.., B1.. begin anew in each cell; S1.. are the loop's; P1.., V1 the variants', which only NumPy computes.
Pen and paper help at `lstm` and `steps`.

To see that it is right, nudge one weight and compare, best by an imaginary nudge: L(U + ie) = L(U) + ie L'(U)
- e^2 L''(U) / 2 ..., whose imaginary part over e is the derivative. No difference is taken, no digit is lost.
Come back to this when you have read the files, which tell its names.

>>> import numpy as np
>>> from minilstm.bptt import cell, lstm, segments
>>> rng = np.random.default_rng(0)  # below 2 features, 3 units of 4 gates each, 5 steps, 1 sample
>>> W, U, b = rng.normal(size=(2, 12)), rng.normal(size=(3, 12)), rng.normal(size=12)
>>> x = rng.normal(size=(5, 1, 2))
>>> def forward(U):
...     return segments.forward(lstm.LSTMCell(), cell.Weights(W, U, b), x)
>>> dstate = np.ones((1, 3)), np.zeros((1, 3))  # the loss L is the sum of the last h: dL/dh = 1, dL/dc = 0
>>> dU = segments.backward(cell.Weights(W, U, b), forward(U), dstate=dstate).dweights.U  # (3, 12)
>>> nudge = np.zeros((3, 12), complex)
>>> nudge[0, 0] = 1e-30j
>>> loss = forward(U + nudge).last_state[0].sum()
>>> bool(abs(loss.imag / 1e-30 - dU[0, 0]) < 1e-15)
True
"""
