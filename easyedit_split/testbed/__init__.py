"""The small world: a grammar of short chats, two tiny trained models, exact judges."""
