"""The embedded teacher's parts: facts, how they are measured, the fine-grained type they support, and the prose."""
