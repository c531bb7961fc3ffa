"""The bus: numbered entries, served as a snapshot from number n and then updates, over one socket per server."""

from operando.bus.asking import AnswerServer, Asker, SupersededError
from operando.bus.client import FeedClient, FeedState
from operando.bus.entry import Entry
from operando.bus.server import FeedServer
from operando.bus.store import MemoryStore, Store

__all__ = ["AnswerServer", "Asker", "Entry", "FeedClient", "FeedServer", "FeedState", "MemoryStore", "Store", "SupersededError"]
