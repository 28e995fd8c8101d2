"""The uploads account: the ledger, quarantine, and what a clinic gets: its addresses and its results."""
