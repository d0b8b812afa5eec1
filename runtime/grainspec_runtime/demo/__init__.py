"""The demo world, the backbone that learnt it, and the judge of what it makes."""
