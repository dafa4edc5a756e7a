"""A Kubernetes API server for one lab cluster: real kubectl and real clients over real TLS, an in-memory store behind.

It answers as kube-apiserver does wherever a client can tell: discovery, OpenAPI, resourceVersions and watches, field validation, server-side apply,
finalizers and garbage collection, RBAC, port-forward. It runs no controllers (those are API clients in ``bennu.lab.controllers``), evaluates no CEL rule of
a CRD, converts between CRD versions only by name, and keeps nothing on disk: a stopped cluster is a deleted cluster.
"""
