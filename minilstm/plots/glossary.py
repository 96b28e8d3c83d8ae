"""The words of pages and plots that are not everybody's, each in a sentence or two."""

GLOSSARY = {
    "carousel": "The path from c of one step to c of the step before it: dc times the forget gate, past all "
    "weights. In 1997, without a forget gate, it carried the gradient unchanged: the constant-error "
    "carousel.",
    "credit map": "For every pair of steps, how much of a loss on one step arrives at the other: it takes "
    "apart what a loss on many steps pools.",
    "dh, dc": "The total derivative of the loss with respect to the hidden state, or the cell state, of a "
    "step: through every path.",
    "external": "The part of dh that reaches a step directly from the layer above, not from later steps.",
    "half-life": "The steps back in which the norm of the gradient halves, from the line that fits its "
    "logarithm best.",
    "horizon": "How many steps back from the end the norm of dh keeps at least 1 % of its largest value.",
    "ledger": "The exact split of dh and dc at every step by where each part comes from: external, through "
    "the recurrent weights, through the carousel, or held at a masked step.",
    "mask": "Says which steps are real. A masked step holds the state, passes the gradient on unchanged, and "
    "adds nothing to the gradients of the weights.",
    "padding": "Steps without data, which make the sequences of a batch equally long; without a mask the "
    "network computes on them as on data.",
    "tape": "What the forward pass of one batch keeps for its backward pass; it grows with the length.",
}
