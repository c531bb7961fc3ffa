"""A queue of plans by bluesky-queueserver (optional extra ``queue``): its manager, a door before it, and one small client."""
