"""The threads of the gateway's users, in the database that all nodes share."""
