"""The task families, a file each: every module here is looked through for classes that extend ``Task``."""
