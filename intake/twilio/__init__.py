"""Twilio: SMS in and out, and the voice of who dials the mobile number. What it calls, what we ask of it, and which
files are fetched from it; its contract is at twilio.com/docs (Messaging, Voice, TwiML, Usage/Webhooks)."""
