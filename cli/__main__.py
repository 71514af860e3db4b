"""`python -m asap_tf.cli`, the same as `asap-tf`."""

from asap_tf.cli import main

main()
