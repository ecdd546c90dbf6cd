"""The channels that are not the telephone: what comes by them is made ready for ``crm``, what goes by them is sent."""
