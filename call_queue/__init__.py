"""The queue's side of the line: what Asterisk's `Queue()` does, seen, kept, and acted upon through AMI."""
