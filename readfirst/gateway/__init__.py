"""The gateway: runs in the clinic, between its modalities and PACS on one side and its two addresses on the other."""
