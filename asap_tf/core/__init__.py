"""What every other room stands on: errors, files, signals, labels, the machine."""
