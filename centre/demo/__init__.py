"""The whole story with real calls: residents dial, seats answer, people fill in forms, the centre calls back."""
