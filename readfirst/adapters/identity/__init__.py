"""The vault account: sealed identities, and the requests to see one."""
