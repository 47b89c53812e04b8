"""The commands, a module each: what the command does as a few readable lines, made of ``steps`` and of lower rooms."""
