"""What is kept on disk: stages under a hash of what determines them, and files that come into place whole."""
