"""The load balancer: which rule takes a request, what clients see of it, what is wrong with its rules."""
