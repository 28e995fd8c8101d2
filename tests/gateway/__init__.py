"""The gateway: its port against real peers, its spool and uploads against Azurite, its results against a PACS."""
