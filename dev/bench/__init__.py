"""What the program costs, measured on the processes that `make run` starts."""
