"""A model as a service: frames in and label maps out over HTTP."""
