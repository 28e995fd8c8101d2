"""Reading: the study's record, the order of the worklist, the alert, the review and what goes back to the clinic."""
