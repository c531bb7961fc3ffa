"""The bus: numbered entries, served as a snapshot from number n and then updates, over one socket per server."""

from operando.bus.client import FeedClient, FeedState
from operando.bus.entry import Entry
from operando.bus.server import FeedServer
from operando.bus.store import MemoryStore, Store

__all__ = ["Entry", "FeedClient", "FeedServer", "FeedState", "MemoryStore", "Store"]
