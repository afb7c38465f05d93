"""The commands of ``workbench``, one module each; `workbench.cli` puts them together."""
