"""workshape: tell me the shape of the work first.

Read `ARCHITECTURE.md`, then `engine/` (how the parts are put together), then the room you came for.
"""
