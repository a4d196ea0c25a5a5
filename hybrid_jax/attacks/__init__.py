"""Who attacks: each file one kind of attacker on released vectors."""
