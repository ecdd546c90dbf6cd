"""The pages, a module for each kind of work; ``web.app`` has their addresses and who may open them."""
