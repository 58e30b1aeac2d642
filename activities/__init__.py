"""Everything that touches the world: a class per concern, its dependencies in the constructor."""
