"""The clients that flockpy can set up: what each needs, rendered, written into its files and taken out again."""
