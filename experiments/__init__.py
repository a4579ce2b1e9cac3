"""What people run: recipes, search spaces and short scripts."""
