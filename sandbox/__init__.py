"""Local stand-ins of every vendor, speaking the vendors' own protocols on loopback; see docs/sandbox.md."""
