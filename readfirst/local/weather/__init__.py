"""Bad weather: proxies before the local servers that behave as Azure's services are documented to on a bad day.

The stack starts them only where it is asked to (`readfirst up --weather FILE`, `Stack(weather=…)`): without that,
clients reach the servers directly and nothing of this package is loaded but its catalogue.
"""
