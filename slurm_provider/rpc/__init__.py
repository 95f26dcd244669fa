"""The contract of proto/: generated stubs (`v1`), and how the two ends connect.

User agents import the messages, so nothing here may import gRPC but `endpoints`.
"""
