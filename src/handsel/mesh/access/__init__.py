"""Who may do what at a port, and in which mode it takes calls: from policies to what a proxy asks.

`modes` the mode of a port · `policies` what all policies together ask at it · `decide` whether a call fits, as far as
it is known · `values` how single values are compared · `plan` what of it the handshake decides, and what remains for
single requests · `moving` from mode to mode · `holds` what holds for a service · `keys` where keys of tokens are.
"""
