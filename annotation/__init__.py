"""Label Studio: the review screen, its server, and the way there and back."""
