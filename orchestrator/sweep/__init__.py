"""One sweep: its request, plan and stages (warm, screen, confirm, test), its result and its status."""
