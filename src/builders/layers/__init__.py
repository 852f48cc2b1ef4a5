"""One module a layer: SCOPE, exports as constants, build(stack). Adding a file here is the whole registration."""
