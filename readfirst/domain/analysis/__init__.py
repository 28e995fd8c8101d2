"""Analysis: which models there are, which series each gets, what is asked of the job and what it answers."""
