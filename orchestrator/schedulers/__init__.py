"""Early stopping: successive halving, the rules that rank trials, and the rungs where they are ranked."""
