"""The version of the workbench, where everything can read it without importing anything."""

VERSION = "0.1.0"
