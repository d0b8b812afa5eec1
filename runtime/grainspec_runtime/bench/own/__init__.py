"""The benchmark's methods on clips of the user, of which no exact target is known."""
