"""Where a credential is kept: memory, a file, a file with its key in the keyring; what all of them share."""
