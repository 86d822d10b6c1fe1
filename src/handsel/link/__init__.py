"""What server and agent say to each other, version 1: unary POSTs with protobuf bodies and one watch stream a host."""
