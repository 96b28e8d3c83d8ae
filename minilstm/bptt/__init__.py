"""Backpropagation through time in NumPy: the lesson. Read it in this order, in an afternoon.

You need the chain rule, and to have seen backpropagation go through the layers of a network. A recurrent
network is one layer, the cell, applied again at every time step to the next input and its own last output:

                     h_1                 h_2             to the layer above, which may read only the last
                      |                   |
    h_0 -> [ step ] --+--> [ step ] ------+--> ...       forward: from left to right, and up
              |               |                          backward: against every arrow
             x_1             x_2

Written out over T steps it is a deep network of T layers, and BPTT is backpropagation through it. Two things
are its own. All these layers have the same weights, so the gradients of the weights are summed over the
steps. And h_t goes two ways, up and to the right, so two gradients come back to it and are added. The rest is
the chain rule within one step:

    cell               10 min   what a cell is, the symbols, the shapes
    activations         5 min   sigmoid and tanh, and their derivatives
    simple_rnn         10 min   the shortest cell: one line forward, one line backward
    lstm               40 min   the LSTM's step: F1..F7 forward, B1..B7 backward
    steps              40 min   the loop over time: S1..S7
    tape               15 min   what forward hands to backward
    segments           30 min   the whole of time: full, checkpointed, truncated

and where you want more:

    gru                15 min   two gates instead of three, and a second path of its own
    variants           15 min   the LSTM of 1997, coupled gates, peepholes
    more_activations, pieces, engine     what the files above use: other functions, joining, who does the work

A tag such as B2 or S5 names one equation in the text, in NumPy, in `minilstm.compiled` and in the trace. Pen
and paper help at `lstm` and `steps`. To see that it is right: nudge one weight, and compare.

>>> from minilstm.bptt import cell, lstm, segments
>>> rng = np.random.default_rng(0)
>>> W, U, b = rng.normal(size=(2, 12)), rng.normal(size=(3, 12)), rng.normal(size=12)  # D = 2, H = 3
>>> x = rng.normal(size=(5, 1, 2))  # T = 5, B = 1
>>> def loss(U):  # the sum of the last h
...     return segments.forward(lstm.LSTMCell(), cell.Weights(W, U, b), x).last_state[0].sum()
>>> tape = segments.forward(lstm.LSTMCell(), cell.Weights(W, U, b), x)
>>> dh, dc = np.ones((1, 3)), np.zeros((1, 3))  # dL/d(last state)
>>> by_hand = segments.backward(tape.packed.weights, tape, dstate=(dh, dc)).dweights.U[0, 0]
>>> nudge = np.zeros((3, 12), complex)
>>> nudge[0, 0] = 1e-30j  # the complex step: a derivative without cancellation
>>> bool(abs(loss(U + nudge).imag / 1e-30 - by_hand) < 1e-15)
True
"""
