"""Continual-learning methods, one file each. A method's name in the config is its module's name: there is no
registry."""
