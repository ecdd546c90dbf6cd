"""What is promised in numbers, measured: `./1551 bench NAME [--json]`, a module each with a `main(arguments)`."""
