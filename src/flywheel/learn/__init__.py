"""STEP 4: feedback → what can be learned from it. Never opens the store."""
