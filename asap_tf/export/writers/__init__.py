"""Writers: one module to each row of `asap_tf.core.formats`, each with a function `write`.

    write(deployment, precision, path, calibration, metadata, rewrites)

Args, the same of all:
    deployment: Network to be written, an `asap_tf.export.graph.Deployment`.
    precision: One of the format's precisions.
    path: File or folder to write.
    calibration: uint8 `(H, W, 3)` frames at the deployment's size; int8 alone takes them.
    metadata: Metadata as JSON can hold it, embedded where the format has a place for it. Writers
        may add to it; `note` is printed.
    rewrites: Rewrites of the graph; the writer's own by default, none with `()`.

All raise AsapError if a package is missing or the graph cannot be converted.
"""
