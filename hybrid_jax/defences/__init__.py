"""What is added to the task's loss, so that what is released tells less."""
