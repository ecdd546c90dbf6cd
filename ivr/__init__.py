"""What a caller hears before a person answers, decided; Asterisk plays it (`docs/call.md`)."""
