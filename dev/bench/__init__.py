"""The costs of the program, measured on the processes of `make run`."""
