"""A strict runtime of the protocol: sessions, calls, channels, and their journal.

One asyncio loop owns every object here. What arrives is applied synchronously in the link's read
callback, so reading never waits for an application; what is sent is written at the moment it is
committed. Nothing in this package knows how it is commanded; `command_log` and `journal_encoding`,
which the rest does not use, speak the messages of whoever commands.
"""
