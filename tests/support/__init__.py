"""What several tests need: a scripted server, certificates, a clock, and checks on threads."""
