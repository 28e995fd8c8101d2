"""Small Azure-shaped endpoints for what has no emulator here: each only the calls that Readfirst makes.

The product reaches them through Azure's own SDKs and does not know that they are local.
"""
