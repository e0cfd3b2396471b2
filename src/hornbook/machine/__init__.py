"""What hornbook needs from the machine: load, memory, disk, worker processes, addresses, the hub."""
