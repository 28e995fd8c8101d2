"""Parked messages: queue `{queue}-poison` holds what no further try would help, or what failed for hours.

The Functions host parks what failed `maxDequeueCount` times (host.json); a function itself parks what it cannot read.
Nothing is lost there: `again` puts the messages back.
"""

from __future__ import annotations

import logging

from readfirst.adapters import clients

_SECONDS = 300  # in which a message that is moved is nobody else's


def name_of(queue: str) -> str:
    """The queue that holds another one's parked messages."""
    return f"{queue}-poison"


def park(queue: str, message: str) -> None:
    """Parks a message that cannot be read: trying it again for hours would help nobody."""
    clients.queue(name_of(queue)).send_message(message)
    logging.error("message parked: %s", queue)  # bicep/modules/alerts.bicep looks for these words


def counts() -> dict[str, int]:
    """How many messages are parked, by queue of the studies account; queues without any are left out."""
    from azure.core.exceptions import ResourceNotFoundError

    from readfirst.domain import resource_names

    found = {}
    for queue in resource_names.WAKING_QUEUES:
        try:
            count = clients.queue(name_of(queue)).get_queue_properties().approximate_message_count
        except ResourceNotFoundError:
            continue
        if count:
            found[queue] = int(count)
    return found


def again(queue: str) -> int:
    """Puts a queue's parked messages back, each once. Returns how many.

    A kill between the two steps leaves a message in both queues: every function takes a message twice without harm.
    """
    source, target = clients.queue(name_of(queue), encoded=False), clients.queue(queue, encoded=False)
    left = int(source.get_queue_properties().approximate_message_count or 0)
    moved = 0
    while moved < left:
        messages = list(source.receive_messages(max_messages=min(32, left - moved), visibility_timeout=_SECONDS))
        if not messages:
            break
        for message in messages:
            target.send_message(message.content)
            source.delete_message(message)
            moved += 1
    return moved
