"""Access: who may do what, requests for an identity, text that people write, rate limits and the audit chain."""
