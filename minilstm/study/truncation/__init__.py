"""What truncation costs the gradient: measured, and predicted from the ledger of one batch.

    ledger   the contributions of the steps, summed from the last one back: what k keeps; and random cuts
    pairs    the same where the loss reads many steps: what segments of k steps keep
    study    truncation_study: truncated passes beside full ones, batch by batch

What this folder is not: it cuts no data. `sequences.truncation` does.
"""

from minilstm.study.truncation.study import TruncationStudy, truncation_study

__all__ = ["TruncationStudy", "truncation_study"]
