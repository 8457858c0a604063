"""References in files: manifests, folders, globs and videos, as a topic of parts."""
