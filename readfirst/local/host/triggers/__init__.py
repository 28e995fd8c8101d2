"""What makes functions run: blobs, queue messages, the clock. HTTP is in readfirst.local.host.http."""
