"""Commands for people: recipes, search spaces and short scripts."""
