"""One training on several graphics cards: `launch` starts `worker`s, which `share` the gradients of `replicas`."""
