"""The composition roots: what a connection is served with, its life, and how the process starts."""
