"""TLS contexts from other worlds and for them: Mule, Java, Spring; Go, Node, nginx, Envoy. What is lost is said."""
