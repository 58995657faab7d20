"""What is spoken on rpc routes besides the messages: refusals in the protocol of the caller, and gRPC-Web as text."""
