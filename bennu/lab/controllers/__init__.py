"""Small controllers that stand for Flux, Linkerd, the kubelet and the rest: honest clients of the API and nothing more."""
