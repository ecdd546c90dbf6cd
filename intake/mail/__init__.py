"""E-mail: letters read, fetched from the centre's mailbox, and handed in."""
