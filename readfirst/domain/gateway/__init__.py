"""Rules of the gateway in the clinic: what it accepts from a peer, and when it says that a study is complete."""
