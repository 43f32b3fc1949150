"""The application of this subject: the services of the testbed, served by the runtime."""
