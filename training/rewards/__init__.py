"""What a completion earns in SC-GRPO.

truth.py    Truth (what is known of the image), Reading (one completion, parsed once), Pay (a reward and its reason)
paper.py    equations 2 to 5 as the main text words them (the default)
matching.py the six steps of equation 5
beyond.py   location rewards the paper does not have, off by default
release.py  what the released code pays, its faults included, for comparison
scheme.py   schemes by name, equation 9, and the functions TRL calls
"""

from training.rewards.scheme import Scheme, reward_functions, scheme
from training.rewards.truth import Pay, Reading, Truth, read

__all__ = ["Pay", "Reading", "Scheme", "Truth", "read", "reward_functions", "scheme"]
