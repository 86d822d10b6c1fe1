"""From a workload's plan to Envoy's words. Each part returns a dictionary in Envoy's own JSON form."""
